//! `sampan import`: converts image functions in files of other tools to a `sampan.yaml`, and lists
//! settings without a counterpart.

mod events;
mod parameters;
mod sam;
mod scf;
mod schedule;
mod section;

use serde_json::{Map, Value, json};

use self::section::Section;
use super::model::File;
use super::variables;
use super::yaml::error::Error;
use super::yaml::{deserialize, load, write};

/// Result of an import.
#[derive(Debug)]
pub struct Imported {
    /// Text of the `sampan.yaml`.
    pub text: String,
    /// Settings left out, one line each: place, and what to do instead.
    pub left_out: Vec<String>,
}

/// Reads a `serverless.yml` of the SCF component or a SAM template.
pub fn read(name: &str, text: &str) -> Result<Imported, Error> {
    let root = load::load(name, text)?;
    let mut left_out = Vec::new();
    let is_scf = root.get("component").and_then(section::text).is_some_and(|component| component.starts_with("scf"));
    let mut domains = Map::new();
    let (project, functions) = if is_scf {
        scf::functions(&root, &mut domains, &mut left_out)?
    } else if root.get("Resources").is_some() {
        sam::functions(&root, &mut left_out)?
    } else {
        let problem = "this file cannot be imported";
        let hint = "A serverless.yml has `component: scf`, a SAM template `Resources`.";
        return Err(Error::new(root.place, problem, hint));
    };
    let domains = (!domains.is_empty()).then_some(domains);
    let file = json!({"project": project_name(&project), "functions": functions, "domains": domains});
    let text = write::document(&file);
    // Validates the result, so that invalid values are reported now and not by the first deploy.
    let mut written = load::load("sampan.yaml", &text)?;
    variables::replace(&mut written, &|_| Some("a value".to_owned()))?;
    deserialize::from_node::<File>(&written)?;
    Ok(Imported { text, left_out })
}

/// Converts a name to a project name: lower-case letters, digits and '-'.
fn project_name(name: &str) -> String {
    let lower = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(lower).collect();
    match name.trim_matches('-') {
        "" => "imported".to_owned(),
        name => name.to_owned(),
    }
}

/// Rounds memory up to a size that Sampan allows: 64, or a multiple of 128, in MB.
fn memory(mb: u32, section: &mut Section<'_>) -> u32 {
    let allowed = if mb <= 64 { 64 } else { mb.div_ceil(128).saturating_mul(128) };
    if allowed != mb {
        section.say(format!("memory of {mb} MB becomes {allowed} MB, the next allowed size"));
    }
    allowed
}

/// Members with a value.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str) -> Imported {
        read("f.yml", text).expect("a file of another tool")
    }

    /// A file of the SCF component.
    const SCF: &str = r#"component: scf
name: thumbs
stage: prod
inputs:
  name: ${name}-${stage}
  namespace: media
  type: web
  image:
    imageType: enterprise
    registryId: tcr-1
    imageUrl: me.tencentcloudcr.com/a/b:v1
    command: /serve
  memorySize: 500
  timeout: 20
  environment:
    variables: { A: '1', B: '${env:B}', C: 'x-${env:C}' }
  role: r1
  events:
    - timer:
        parameters:
          name: nightly
          cronExpression: '0 0 3 * * * *'
          enable: false
    - apigw:
        parameters:
          serviceName: shop
          endpoints: [{ path: /, method: ANY }]
          customDomains:
            - { domain: a.example.com, certificateId: shop, protocols: [http, https] }
    - apigw:
        parameters: { endpoints: [{ path: /, auth: { secretName: s } }] }
    - cos:
        parameters:
          qualifier: $DEFAULT
          bucket: in-125.cos.ap-beijing.myqcloud.com
          filter: { prefix: a/, suffix: .jpg }
          events: cos:ObjectCreated:*
    - cos:
        parameters: { bucket: old, events: cos:ObjectRemove:* }
    - ckafka:
        parameters: { name: q }
  cfs:
    - { cfsId: files, localMountDir: /mnt/, remoteMountDir: /sub, userId: 20000, userGroupId: 20000 }
    - { cfsId: cfs_1, localMountDir: / }
  initTimeout: soon
"#;
    const OF_SCF: &str = r#"project: thumbs
functions:
  media/thumbs-prod:
    image: me.tencentcloudcr.com/a/b:v1
    type: web
    command: /serve
    environment:
      A: '1'
      B: "${B}"
    memory: 512
    mounts:
      - 'files/sub:/mnt:uid=20000,gid=20000'
    registry_id: tcr-1
    timeout: 20
    triggers:
      in-125.cos.ap-beijing.myqcloud.com:
        type: cos
        desc:
          Poll:
            Connection: "${COS_CONNECTION:?name of the store in [connections] of the settings}"
          event: 'cos:ObjectCreated:*'
          filter:
            Prefix: a/
            Suffix: '.jpg'
        qualifier: '$DEFAULT'
      nightly:
        cron: '0 0 3 * * * *'
        paused: true
      shop:
        type: http
        desc:
          AuthType: NONE
domains:
  a.example.com:
    certificate: shop
    protocol: both
    routes:
      '/*': media/thumbs-prod
"#;
    /// A SAM template.
    const SAM: &str = r#"Transform: AWS::Serverless-2016-10-31
Parameters:
  Image: { Type: String }
  Stage: { Type: String, Default: dev }
  Memory: { Type: Number, Default: 256 }
Globals:
  Function:
    Timeout: 30
Resources:
  Resize:
    Type: AWS::Serverless::Function
    Properties:
      PackageType: Image
      ImageUri: !Ref Image
      MemorySize: !Ref Memory
      ImageConfig: { EntryPoint: [/app], Command: [a, b] }
      Environment:
        Variables: { TABLE: !GetAtt T.Arn, MODE: fast, STAGE: !Ref Stage, NAME: !Sub 'a "${Stage}" $b' }
      AutoPublishAlias: live
      EventInvokeConfig: { MaximumRetryAttempts: 1 }
      EphemeralStorage: { Size: 2048 }
      Architectures: [arm64]
      Layers: [!Ref L]
      ReservedConcurrentExecutions: 4
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 2 }
      FunctionUrlConfig: { AuthType: AWS_IAM }
      FileSystemConfigs: [{ Arn: !GetAtt Files.Arn, LocalMountPath: /mnt/files }]
      Events:
        Often: { Type: Schedule, Properties: { Schedule: rate(5 minutes) } }
        Noon: { Type: Schedule, Properties: { Schedule: cron(0 12 * * ? *), Enabled: false } }
        Odd: { Type: Schedule, Properties: { Schedule: rate(7 minutes) } }
        Home: { Type: HttpApi }
        In:
          Type: S3
          Properties:
            Bucket: !Ref Pictures
            Events: s3:ObjectCreated:*
            Filter: { S3Key: { Rules: [{ Name: suffix, Value: .jpg }] } }
        Queue: { Type: SQS, Properties: { Queue: !GetAtt Q.Arn } }
  Table: { Type: AWS::DynamoDB::Table }
"#;
    const OF_SAM: &str = r#"project: imported
functions:
  Resize:
    image: "${Image:?the template's parameter Image}"
    type: event
    aliases:
      live:
        version: newest
    args:
      - a
      - b
    command:
      - /app
    environment:
      MODE: fast
      NAME: "a \"${Stage:-dev}\" $$b"
      STAGE: "${Stage:-dev}"
    events:
      retries: 1
    memory: 256
    mounts:
      - files:/mnt/files
    provisioned:
      number: 2
    publish: true
    reserved: 1024
    timeout: 30
    tmp: 2048
    triggers:
      Home:
        type: http
        desc:
          AuthType: NONE
      In:
        type: cos
        desc:
          Bucket: pictures
          Poll:
            Connection: "${COS_CONNECTION:?name of the store in [connections] of the settings}"
          event: 'cos:ObjectCreated:*'
          filter:
            Suffix: '.jpg'
      Noon:
        cron: '0 0 12 * * * *'
        paused: true
        zone: '+00:00'
      Often:
        cron: '0 */5 * * * * *'
        zone: '+00:00'
      url:
        type: http
        desc:
          AuthType: CAM
"#;

    #[test]
    fn a_function_of_the_scf_component_is_declared() {
        let read = imported(SCF);
        assert_eq!(read.text, OF_SCF);
        let expected = [
            "f.yml:13:15: memorySize: memory of 500 MB becomes 512 MB, the next allowed size",
            "f.yml:16:44: environment.variables.C: it contains a variable of the other tool; replace it by its value",
            "f.yml:45:16: initTimeout: expected a whole number from 0 to 4294967295, found \"soon\"; not \
             imported",
            "f.yml:17:9: role: not imported",
        ];
        for line in expected {
            assert!(read.left_out.iter().any(|said| said == line), "{line} is not in {:#?}", read.left_out);
        }
        for part in [
            ": events.apigw: its endpoints ask for keys; ",
            ": events.apigw: the domain a.example.com needs the certificate shop",
            ": events.cos: cos:ObjectRemove:*: a bucket that is polled shows new objects alone",
            ": events.ckafka: triggers of ckafka are not supported",
            ": cfs: create the volume files first: sampan volume create files",
            "f.yml:44:7: cfs: volume name",
        ] {
            assert!(read.left_out.iter().any(|said| said.contains(part)), "{part} is not in {:#?}", read.left_out);
        }
        assert_eq!(read.left_out.len(), 10, "{:#?}", read.left_out);
    }

    #[test]
    fn functions_of_a_sam_template_are_declared() {
        let read = imported(SAM);
        assert_eq!(read.text, OF_SAM);
        let said = read.left_out.join("\n");
        for part in [
            "Environment.Variables.TABLE: it contains a variable of the other tool",
            "Events.Odd: rate(7 minutes) is not a cron expression; declare a timer",
            "Events.Queue: triggers of SQS are not supported",
            "Events.Home: its function gets the request as the event of docs/TRIGGERS.md",
            "Events.In: its function gets events in the form of COS",
            "Architectures: the image has to be for this machine's architecture",
            "Layers: an image has its own layers; build these into it",
            "FileSystemConfigs: create the volume files first",
            "FunctionUrlConfig: calls are signed with a key pair of Sampan",
            "Table: AWS::DynamoDB::Table is not a function",
            "Lambda's runtime API",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert_eq!(read.left_out.len(), 11, "{said}");
    }

    #[test]
    fn an_api_whose_calls_are_checked_is_never_made_open() {
        for (globals, event) in [
            ("{ HttpApi: { Auth: { DefaultAuthorizer: A } } }", "{ Type: HttpApi }"),
            ("{ Api: { Auth: { ApiKeyRequired: true } } }", "{ Type: Api }"),
            ("{ Function: {} }", "{ Type: HttpApi, Properties: { ApiId: !Ref Shop } }"),
            ("{ Function: {} }", "{ Type: Api, Properties: { RestApiId: !Ref Shop } }"),
            ("{ Function: {} }", "{ Type: Api, Properties: { Auth: {} } }"),
        ] {
            let function = format!("{{ PackageType: Image, ImageUri: a, Events: {{ Shop: {event} }} }}");
            let resources = format!("{{ A: {{ Type: AWS::Serverless::Function, Properties: {function} }} }}");
            let read = imported(&format!("Globals: {globals}\nResources: {resources}\n"));
            assert!(!read.text.contains("NONE"), "{event}: {}", read.text);
            assert!(read.left_out.iter().any(|line| line.contains("AuthType CAM")), "{event}: {:?}", read.left_out);
        }
    }

    #[test]
    fn provisioned_instances_without_a_version_are_said_to_be_left_out() {
        let read = imported(
            "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties:\n      ImageUri: a\n      \
             ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 2 }\n",
        );
        assert!(!read.text.contains("provisioned"), "{}", read.text);
        assert!(read.left_out.iter().any(|line| line.contains("add publish and provisioned")), "{:?}", read.left_out);
    }

    #[test]
    fn what_cannot_be_imported_says_why() {
        for (text, part) in [
            ("a: 1", "file cannot be imported"),
            ("component: scf\nname: a\ninputs: { name: a, runtime: Nodejs }", "f.yml:3:9: the function has no image"),
            ("component: scf\nname: a", "inputs"),
            ("Resources: { A: { Type: AWS::S3::Bucket } }", "no function of an image"),
            ("component: [", "f.yml"),
        ] {
            let error = read("f.yml", text).expect_err(text);
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
