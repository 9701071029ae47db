//! Functions and versions in answers (contract 2.1 and 3).

use serde::Serialize;
use serde_json::Value;
use types::wire::{
    AccessInfo, DeadLetterConfig, EipConfigOut, EipOutConfig, Environment, Function, GetFunctionAnswer, ImageConfig,
    IntranetConfigOut, PublicNetConfigOut, ServingSettings, Tag, Variable, VpcConfig, switch,
};
use types::{CatalogFunction, CommandWords, Digest, FunctionRecord, ImageSpec, ImageType, Status, VersionRecord};

use crate::validate::code::RUNTIME;
use crate::validate::mounts;
use types::UtcOffset;

/// A version with state from outside its record.
pub(crate) struct Shown<'a> {
    /// The function.
    pub function: &'a FunctionRecord,
    /// The version.
    pub version: &'a VersionRecord,
    /// Progress of its preparation.
    pub progress: Option<&'a str>,
    /// Offset of times in answers.
    pub offset: UtcOffset,
}

impl Shown<'_> {
    /// An entry of a list; `catalog` is the callable state of the function, if any.
    pub(crate) fn entry(&self, catalog: Option<&CatalogFunction>) -> Function {
        let Self { function, version, .. } = self;
        Function {
            function_name: function.key.name.to_string(),
            function_id: function.id.to_string(),
            namespace: function.key.namespace.to_string(),
            runtime: RUNTIME,
            r#type: function.kind.as_str(),
            status: version.status.as_str(),
            status_desc: self.status_desc(),
            status_reasons: version.reasons.clone(),
            description: version.desired.description.clone(),
            tags: self.tags(),
            async_run_enable: switch(function.async_run),
            trace_enable: switch(function.trace),
            total_provisioned_concurrency_mem: catalog.map_or(0, CatalogFunction::provisioned_mb),
            reserved_concurrency_mem: catalog.and_then(|function| function.reserved_mb),
            add_time: self.offset.format(function.added_ms),
            mod_time: self.offset.format(version.modified_ms),
        }
    }

    /// All fields, for a request with `qualifier`.
    pub(crate) fn details(&self, qualifier: String, runtime_class: &str, triggers: Vec<Value>) -> GetFunctionAnswer {
        let Self { function, version, .. } = self;
        let spec = &version.desired;
        GetFunctionAnswer {
            function_name: function.key.name.to_string(),
            function_id: function.id.to_string(),
            namespace: function.key.namespace.to_string(),
            r#type: function.kind.as_str(),
            runtime: RUNTIME,
            runtime_class: runtime_class.to_owned(),
            status: version.status.as_str(),
            status_desc: self.status_desc(),
            status_reasons: version.reasons.clone(),
            available_status: "Available",
            description: spec.description.clone(),
            memory_size: spec.memory_mb,
            timeout: spec.timeout_s,
            init_timeout: spec.init_timeout_s,
            handler: self.text("Handler"),
            function_version: version.version.to_string(),
            revision_id: None,
            qualifier,
            environment: self.environment(),
            image_config: self.image_config(),
            serving: self.serving(),
            triggers,
            async_run_enable: switch(function.async_run),
            trace_enable: switch(function.trace),
            dns_cache: self.text_or("DnsCache", "FALSE"),
            instance_concurrency_config: spec.concurrency.as_ref().map_or(Value::Null, |c| c.as_given.clone()),
            protocol_type: function.protocol.clone().unwrap_or_default(),
            protocol_params: self.object("ProtocolParams", &Value::Null),
            on_success: self.text("OnSuccess"),
            on_failure: self.text("OnFailure"),
            dead_letter_config: self.object("DeadLetterConfig", &DeadLetterConfig::default()),
            public_net_config: self.public_net(),
            intranet_config: self.intranet(),
            vpc_config: self.object("VpcConfig", &VpcConfig::default()),
            eip_config: EipOutConfig { eip_fixed: switch(false).to_owned(), eips: Vec::new() },
            cfs_config: self.object("CfsConfig", &mounts::to_cfs(&spec.extras.mounts)),
            layers: Vec::new(),
            sampan: (&spec.extras).into(),
            tags: self.tags(),
            role: self.text("Role"),
            access_info: AccessInfo::default(),
            l5_enable: self.text_or("L5Enable", "FALSE"),
            ons_enable: switch(false),
            use_gpu: switch(false),
            install_dependency: switch(false),
            cls_logset_id: self.text("ClsLogsetId"),
            cls_topic_id: self.text("ClsTopicId"),
            code_info: "",
            code_size: version.serving.as_ref().map_or(0, |serving| serving.image.size_bytes),
            code_result: "success",
            code_error: "",
            err_no: 0,
            add_time: self.offset.format(function.added_ms),
            mod_time: self.offset.format(version.modified_ms),
        }
    }

    /// The serving configuration, if a failed change makes it differ from the version's fields.
    fn serving(&self) -> Option<ServingSettings> {
        let served = self.version.serving.as_ref().filter(|_| self.version.status == Status::UpdateFailed)?;
        let version = VersionRecord { desired: served.spec.clone(), status: Status::Active, ..self.version.clone() };
        let shown = Shown { version: &version, ..*self };
        let spec = &version.desired;
        Some(ServingSettings {
            image_config: shown.image_config(),
            memory_size: spec.memory_mb,
            timeout: spec.timeout_s,
            init_timeout: spec.init_timeout_s,
            description: spec.description.clone(),
            environment: shown.environment(),
            instance_concurrency_config: spec.concurrency.as_ref().map_or(Value::Null, |c| c.as_given.clone()),
            protocol_params: shown.object("ProtocolParams", &Value::Null),
            public_net_config: shown.public_net(),
            sampan: (&spec.extras).into(),
        })
    }

    /// Progress of a change that is being prepared.
    fn status_desc(&self) -> String {
        match self.version.status {
            Status::Creating | Status::Updating => self.progress.unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    fn tags(&self) -> Vec<Tag> {
        self.function.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
    }

    fn environment(&self) -> Environment {
        let variable = |(key, value): &(String, String)| Variable { key: key.clone(), value: value.clone() };
        Environment { variables: self.version.desired.environment.iter().map(variable).collect() }
    }

    fn image_config(&self) -> ImageConfig {
        let image = &self.version.desired.image;
        // The image being prepared may resolve to another digest; only the serving one is known.
        let settled = matches!(self.version.status, Status::Active | Status::Publishing);
        let served = self.version.serving.as_ref().filter(|_| settled);
        let image_type = match image.image_type {
            ImageType::Personal => "personal",
            ImageType::Enterprise => "enterprise",
        };
        ImageConfig {
            image_type: Some(image_type.to_owned()),
            image_uri: Some(served.map_or_else(|| image.uri.clone(), |served| pinned_uri(image, &served.image.digest))),
            registry_id: Some(image.registry_id.clone().unwrap_or_default()),
            entry_point: None,
            command: Some(text(image.command.as_ref())),
            command_list: Some(list(image.command.as_ref())),
            args: Some(text(image.args.as_ref())),
            args_list: Some(list(image.args.as_ref())),
            container_image_accelerate: Some(image.accelerate),
            image_port: Some(i64::from(image.port)),
        }
    }

    fn carried(&self, name: &str) -> Option<&Value> {
        self.version.desired.carried.get(name)
    }

    fn text_or(&self, name: &str, unset: &str) -> String {
        self.carried(name).and_then(Value::as_str).unwrap_or(unset).to_owned()
    }

    fn text(&self, name: &str) -> String {
        self.text_or(name, "")
    }

    fn object(&self, name: &str, unset: &impl Serialize) -> Value {
        let unset = || serde_json::to_value(unset).expect("texts and lists always serialize");
        self.carried(name).cloned().unwrap_or_else(unset)
    }

    /// A text in a stored API object.
    fn within(&self, name: &str, pointer: &str, unset: &str) -> String {
        let found = self.carried(name).and_then(|object| object.pointer(pointer)).and_then(Value::as_str);
        found.filter(|text| !text.is_empty()).unwrap_or(unset).to_owned()
    }

    fn public_net(&self) -> PublicNetConfigOut {
        PublicNetConfigOut {
            public_net_status: self.within("PublicNetConfig", "/PublicNetStatus", "ENABLE"),
            eip_config: EipConfigOut {
                eip_status: self.within("PublicNetConfig", "/EipConfig/EipStatus", "DISABLE"),
                eip_address: Vec::new(),
            },
        }
    }

    fn intranet(&self) -> IntranetConfigOut {
        IntranetConfigOut { ip_fixed: self.within("IntranetConfig", "/IpFixed", "DISABLE"), ip_address: Vec::new() }
    }
}

/// The words as a text separated by blanks; empty for a list, because a text cannot represent all
/// words.
fn text(words: Option<&CommandWords>) -> String {
    match words {
        Some(CommandWords::Text(text)) => text.clone(),
        Some(CommandWords::List(_)) | None => String::new(),
    }
}

/// The words as a list; empty for a text.
fn list(words: Option<&CommandWords>) -> Vec<String> {
    match words {
        Some(CommandWords::List(words)) => words.clone(),
        Some(CommandWords::Text(_)) | None => Vec::new(),
    }
}

/// The reference in the owner's form, with the digest that it resolved to.
pub(crate) fn pinned_uri(image: &ImageSpec, digest: &Digest) -> String {
    if image.uri.contains('@') { image.uri.clone() } else { format!("{}@{digest}", image.uri) }
}

#[cfg(test)]
mod tests {
    use types::{FunctionId, FunctionKey, FunctionKind, Namespace, PinnedImage, Serving, VersionName};

    use serde_json::json;

    use super::*;
    use crate::validate::configuration;

    fn function() -> FunctionRecord {
        FunctionRecord {
            id: FunctionId::random(),
            key: FunctionKey { namespace: Namespace::default_namespace(), name: "hello".parse().expect("valid") },
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: vec![("owner".to_owned(), "me".to_owned())],
            added_ms: 0,
            modified_ms: 0,
        }
    }

    fn version(function: &FunctionRecord, status: Status, served: bool) -> VersionRecord {
        let image = ImageSpec {
            image_type: ImageType::Personal,
            uri: "r.io/a:v1".to_owned(),
            registry_id: None,
            command: None,
            args: None,
            accelerate: false,
            port: 9000,
        };
        let spec = configuration::default_for(image);
        let image = PinnedImage { digest: Digest::from_sha256(&[7; 32]), size_bytes: 4711 };
        VersionRecord {
            function_id: function.id.clone(),
            version: VersionName::Latest,
            status,
            reasons: Vec::new(),
            generation: 1,
            serving: served.then(|| Serving { generation: 1, spec: spec.clone(), image }),
            desired: spec,
            resolve: true,
            added_ms: 0,
            modified_ms: 1_551_113_065_000,
        }
    }

    fn details(status: Status, served: bool) -> GetFunctionAnswer {
        let function = function();
        let version = version(&function, status, served);
        let shown =
            Shown { function: &function, version: &version, progress: Some("12 of 40 MB"), offset: UtcOffset::CHINA };
        shown.details("$LATEST".to_owned(), "sampan", Vec::new())
    }

    #[test]
    fn the_digest_is_shown_once_it_is_served() {
        let uri = |status, served| details(status, served).image_config.image_uri.expect("always there");
        assert_eq!(uri(Status::Creating, false), "r.io/a:v1");
        assert_eq!(uri(Status::Active, true), format!("r.io/a:v1@sha256:{}", "07".repeat(32)));
        assert_eq!(uri(Status::Updating, true), "r.io/a:v1");
        assert_eq!(uri(Status::UpdateFailed, true), "r.io/a:v1");
    }

    #[test]
    fn progress_is_shown_while_something_is_prepared() {
        assert_eq!(details(Status::Creating, false).status_desc, "12 of 40 MB");
        assert_eq!(details(Status::Updating, true).status_desc, "12 of 40 MB");
        assert_eq!(details(Status::Active, true).status_desc, "");
    }

    #[test]
    fn unset_objects_have_the_shapes_of_the_contract() {
        let shown = serde_json::to_value(details(Status::Active, true)).expect("serializes");
        let table = [
            ("VpcConfig", json!({"VpcId": "", "SubnetId": ""})),
            ("DeadLetterConfig", json!({"Type": "", "Name": "", "FilterType": ""})),
            (
                "PublicNetConfig",
                json!({"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "DISABLE", "EipAddress": []}}),
            ),
            ("IntranetConfig", json!({"IpFixed": "DISABLE", "IpAddress": []})),
            ("EipConfig", json!({"EipFixed": "FALSE", "Eips": []})),
            ("CfsConfig", json!({"CfsInsList": []})),
            ("InstanceConcurrencyConfig", Value::Null),
            ("ProtocolParams", Value::Null),
            ("ProtocolType", json!("")),
            ("Environment", json!({"Variables": []})),
            ("AccessInfo", json!({"Host": "", "Vip": ""})),
            ("Tags", json!([{"Key": "owner", "Value": "me"}])),
            ("ModTime", json!("2019-02-26 00:44:25")),
            ("L5Enable", json!("FALSE")),
            ("CodeSize", json!(4711)),
        ];
        for (field, value) in table {
            assert_eq!(shown.get(field), Some(&value), "{field}");
        }
    }

    #[test]
    fn a_digest_that_was_given_stays() {
        let function = function();
        let mut image = version(&function, Status::Active, true).desired.image;
        image.uri = format!("r.io/a@{}", Digest::from_sha256(&[1; 32]));
        assert_eq!(pinned_uri(&image, &Digest::from_sha256(&[2; 32])), image.uri);
    }
}
