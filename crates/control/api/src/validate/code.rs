//! `Code`: parses the image of a function, and refuses all fields of code packages.

use types::limits::{IMAGE_PORT, JOB_PORT};
use types::wire::{Code, ImageConfig, LayerVersionSimple};
use types::{ApiError, ErrorCode, FunctionKind, ImageRef, ImageSpec, ImageType};

use super::{command_line, filled, invalid, quoted, required, scalars};

/// Runtime of every function on this platform.
pub(crate) const RUNTIME: &str = "CustomImage";

/// Parses the image in `Code`.
pub(crate) fn image(code: Option<&Code>) -> Result<ImageSpec, ApiError> {
    let missing = || ApiError::new(ErrorCode::MISSING_PARAMETER_CODE, "Code: it is required; give Code.ImageConfig");
    let code = code.ok_or_else(missing)?;
    refuse_package(&package_fields(code))?;
    image_config(code.image_config.as_ref().ok_or_else(missing)?)
}

fn package_fields(code: &Code) -> [(&'static str, Option<&str>); 7] {
    [
        ("Code.ZipFile", code.zip_file.as_deref()),
        ("Code.CosBucketName", code.cos_bucket_name.as_deref()),
        ("Code.CosObjectName", code.cos_object_name.as_deref()),
        ("Code.CosBucketRegion", code.cos_bucket_region.as_deref()),
        ("Code.DemoId", code.demo_id.as_deref()),
        ("Code.TempCosObjectName", code.temp_cos_object_name.as_deref()),
        ("Code.GitUrl", code.git_url.as_deref()),
    ]
}

/// Refuses fields that contain a code package.
pub(crate) fn refuse_package(fields: &[(&'static str, Option<&str>)]) -> Result<(), ApiError> {
    match fields.iter().find(|(_, value)| filled(*value).is_some()) {
        None => Ok(()),
        Some((field, _)) => {
            let problem = "functions are made of container images only, not of code packages; use Code.ImageConfig";
            Err(invalid(ErrorCode::INVALID_VALUE_CODE, field, problem))
        }
    }
}

/// Refuses settings that only functions with code packages have.
pub(crate) fn refuse_code_settings(
    runtime: Option<&str>,
    layers: Option<&[LayerVersionSimple]>,
    install_dependency: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(runtime) = filled(runtime).filter(|runtime| *runtime != RUNTIME) {
        let problem =
            format!("{} is a runtime of code packages; functions here are images, {RUNTIME}", quoted(runtime));
        return Err(invalid(ErrorCode::INVALID_VALUE_RUNTIME, "Runtime", problem));
    }
    if layers.is_some_and(|layers| layers.iter().any(|layer| !layer.layer_name.is_empty())) {
        let problem = "layers belong to code packages; put what they hold into the image";
        return Err(invalid(ErrorCode::INVALID_VALUE_LAYERS, "Layers", problem));
    }
    if scalars::switch("InstallDependency", install_dependency, ErrorCode::INVALID_VALUE)? {
        let problem = "dependencies of an image are installed when it is built; leave it out or send FALSE";
        return Err(invalid(ErrorCode::INVALID_VALUE, "InstallDependency", problem));
    }
    Ok(())
}

fn image_config(config: &ImageConfig) -> Result<ImageSpec, ApiError> {
    let image_type = image_type(required("Code.ImageConfig.ImageType", filled(config.image_type.as_deref()))?)?;
    let uri = required("Code.ImageConfig.ImageUri", filled(config.image_uri.as_deref()))?;
    let parsed: Result<ImageRef, _> = uri.parse();
    parsed.map_err(|error| invalid(ErrorCode::INVALID_VALUE_IMAGE_URI, "Code.ImageConfig.ImageUri", error))?;
    let registry_id = filled(config.registry_id.as_deref());
    if image_type == ImageType::Enterprise && registry_id.is_none() {
        let problem = "images of type enterprise need the id of their registry, tcr-…";
        return Err(invalid(ErrorCode::INVALID_VALUE_REGISTRY_ID, "Code.ImageConfig.RegistryId", problem));
    }
    // `EntryPoint` is the older name of `Command`.
    let command = filled(config.command.as_deref()).or(filled(config.entry_point.as_deref()));
    let command = command_line::given("Command", command, config.command_list.as_deref())?;
    let args = command_line::given("Args", filled(config.args.as_deref()), config.args_list.as_deref())?;
    Ok(ImageSpec {
        image_type,
        uri: uri.to_owned(),
        registry_id: registry_id.map(str::to_owned),
        command,
        args,
        accelerate: config.container_image_accelerate.unwrap_or(false),
        port: port(config.image_port)?,
    })
}

/// Refuses a job image in a web function, which requires a server.
pub(crate) fn check_kind(image: &ImageSpec, kind: FunctionKind) -> Result<(), ApiError> {
    if image.is_job() && kind == FunctionKind::Http {
        let problem = "a job image (-1) has no server, and this is a web function; make an event function (Type Event)";
        return Err(invalid(ErrorCode::INVALID_VALUE_PORT, "Code.ImageConfig.ImagePort", problem));
    }
    Ok(())
}

fn image_type(text: &str) -> Result<ImageType, ApiError> {
    match text {
        "personal" => Ok(ImageType::Personal),
        "enterprise" => Ok(ImageType::Enterprise),
        other => {
            let problem = format!("{} is neither personal nor enterprise", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE_IMAGE_TYPE, "Code.ImageConfig.ImageType", problem))
        }
    }
}

fn port(given: Option<i64>) -> Result<i32, ApiError> {
    let (field, code) = ("Code.ImageConfig.ImagePort", ErrorCode::INVALID_VALUE_PORT);
    match given {
        None => Ok(i32::from(IMAGE_PORT)),
        Some(job) if job == i64::from(JOB_PORT) => Ok(JOB_PORT),
        Some(port) => u16::try_from(port).ok().filter(|port| *port != 0).map(i32::from).ok_or_else(|| {
            invalid(
                code,
                field,
                format!("{port} is no port; use 1 to 65535, usually {IMAGE_PORT}, or {JOB_PORT} for a job image"),
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ImageConfig {
        ImageConfig {
            image_type: Some("personal".to_owned()),
            image_uri: Some("localhost:5000/ns/app:v1".to_owned()),
            ..ImageConfig::default()
        }
    }

    fn code(config: ImageConfig) -> &'static str {
        let code = Code { image_config: Some(config), ..Code::default() };
        image(Some(&code)).map_or_else(|error| error.code.name, |_| "")
    }

    #[test]
    fn an_image_has_the_defaults_of_the_contract() {
        let spec = image(Some(&Code { image_config: Some(config()), ..Code::default() })).expect("valid");
        assert_eq!((spec.port, spec.accelerate, spec.image_type), (9000, false, ImageType::Personal));
        assert_eq!((spec.command, spec.args, spec.registry_id), (None, None, None));
        assert_eq!(spec.uri, "localhost:5000/ns/app:v1");
    }

    #[test]
    fn each_wrong_field_has_its_code() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(code(config()), "");
        assert_eq!(code(ImageConfig { image_type: None, ..config() }), "MissingParameter");
        assert_eq!(code(ImageConfig { image_uri: text(""), ..config() }), "MissingParameter");
        assert_eq!(code(ImageConfig { image_type: text("public"), ..config() }), "InvalidParameterValue.ImageType");
        assert_eq!(
            code(ImageConfig { image_uri: text("http://r.io/a"), ..config() }),
            "InvalidParameterValue.ImageUri"
        );
        let enterprise = ImageConfig { image_type: text("enterprise"), ..config() };
        assert_eq!(code(enterprise.clone()), "InvalidParameterValue.RegistryId");
        assert_eq!(code(ImageConfig { registry_id: text("tcr-1"), ..enterprise }), "");
        assert_eq!(code(ImageConfig { command: text("a\0b"), ..config() }), "InvalidParameterValue.Command");
        assert_eq!(code(ImageConfig { args: Some("x".repeat(4097)), ..config() }), "InvalidParameterValue.Args");
        for port in [-2, 0, 65_536, i64::MAX] {
            assert_eq!(code(ImageConfig { image_port: Some(port), ..config() }), "InvalidParameterValue.Port");
        }
        assert_eq!(code(ImageConfig { image_port: Some(8080), ..config() }), "");
    }

    #[test]
    fn a_job_image_has_no_port() {
        let code = Code { image_config: Some(ImageConfig { image_port: Some(-1), ..config() }), ..Code::default() };
        assert!(image(Some(&code)).expect("a job image").is_job());
    }

    #[test]
    fn a_job_image_belongs_to_an_event_function() {
        let spec = |port| {
            let code =
                Code { image_config: Some(ImageConfig { image_port: Some(port), ..config() }), ..Code::default() };
            image(Some(&code)).expect("valid")
        };
        assert_eq!(check_kind(&spec(-1), FunctionKind::Event), Ok(()));
        assert_eq!(check_kind(&spec(9000), FunctionKind::Http), Ok(()));
        let refused = check_kind(&spec(-1), FunctionKind::Http).expect_err("no server");
        assert_eq!(refused.code.name, "InvalidParameterValue.Port");
    }

    #[test]
    fn only_images_are_functions() {
        let refused = |code: Code| image(Some(&code)).expect_err("no image");
        assert_eq!(image(None).expect_err("no code").code.name, "MissingParameter.Code");
        assert_eq!(refused(Code::default()).code.name, "MissingParameter.Code");
        let zip = refused(Code { zip_file: Some("UEsDBA==".to_owned()), ..Code::default() });
        assert_eq!(zip.code.name, "InvalidParameterValue.Code");
        assert!(
            zip.message.starts_with("Code.ZipFile: functions are made of container images only"),
            "{}",
            zip.message
        );
        let both = Code { image_config: Some(config()), cos_bucket_name: Some("b".to_owned()), ..Code::default() };
        assert_eq!(refused(both).code.name, "InvalidParameterValue.Code");
    }

    #[test]
    fn settings_of_code_packages_are_refused() {
        let layer = |name: &str| [LayerVersionSimple { layer_name: name.to_owned(), layer_version: 1 }];
        let refused = |runtime, layers: Option<&[LayerVersionSimple]>, install| {
            refuse_code_settings(runtime, layers, install).map_err(|error| error.code.name)
        };
        assert_eq!(refused(Some("CustomImage"), Some(&[]), Some("FALSE")), Ok(()));
        assert_eq!(refused(None, Some(&layer("")), None), Ok(()));
        assert_eq!(refused(Some("Python3.6"), None, None), Err("InvalidParameterValue.Runtime"));
        assert_eq!(refused(None, Some(&layer("numpy")), None), Err("InvalidParameterValue.Layers"));
        assert_eq!(refused(None, None, Some("TRUE")), Err("InvalidParameterValue"));
    }
}
