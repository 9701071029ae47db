//! Sampan's own settings of a function: the object `Sampan` of requests and answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use types::secret_ref::SecretRef;
use types::{secret_file, wire};

use crate::declared::model::{Entries, Function, Mount};

/// Builds the object of a request. Undeclared settings are sent empty, which removes them.
pub fn object(function: &Function) -> Value {
    let mounts: Vec<wire::Mount> =
        function.mounts.iter().flatten().map(|Mount(mount)| wire::Mount::from(mount)).collect();
    let secret_files: Vec<_> = function
        .secret_files
        .iter()
        .flatten()
        .map(|(path, secret)| json!({"Path": format!("{}/{path}", secret_file::DIR), "Secret": secret}))
        .collect();
    json!({
        "CpuMilli": function.cpu.map_or(0, |cores| cores.0), "ShmMb": function.shm.unwrap_or(0),
        "FilesMax": function.nofile.unwrap_or(0), "PidsMax": function.pids.unwrap_or(0), "Mounts": mounts,
        "Egress": function.egress.as_ref().map_or(&[][..], |Entries(list)| list),
        "HostPorts": function.host_ports.clone().unwrap_or_default(), "TmpMb": function.tmp.unwrap_or(0),
        "SecretFiles": secret_files,
    })
}

/// Reads the mounts of an answer.
pub fn mounts(answer: &Value) -> Vec<Mount> {
    let list = answer.pointer("/Sampan/Mounts").cloned().unwrap_or_default();
    let list: Vec<wire::Mount> = serde_json::from_value(list).unwrap_or_default();
    let own = |mount: wire::Mount| {
        let id = |given: Option<u32>| given.unwrap_or(types::mount::OWNER_DEFAULT);
        let (user_id, group_id) = (id(mount.user_id), id(mount.group_id));
        let read = types::Mount::new(&mount.volume, &mount.sub, &mount.path, mount.read_only).ok()?;
        Some(Mount(types::Mount { user_id, group_id, ..read }))
    };
    list.into_iter().filter_map(own).collect()
}

/// Reads the secret files of an answer, by their paths below the directory of secrets.
pub fn secret_files(answer: &Value) -> BTreeMap<String, SecretRef> {
    let list = answer.pointer("/Sampan/SecretFiles").cloned().unwrap_or_default();
    let list: Vec<wire::SecretFile> = serde_json::from_value(list).unwrap_or_default();
    let read = |file: wire::SecretFile| types::SecretFile::new(&file.path, &file.secret).ok();
    list.into_iter().filter_map(read).map(|file| (file.path, file.secret)).collect()
}

/// Reads a list of texts.
pub fn texts(answer: &Value, pointer: &str) -> Vec<String> {
    let list = answer.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Reads the host ports.
pub fn ports(answer: &Value) -> Vec<u16> {
    let list = answer.pointer("/Sampan/HostPorts").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_u64).filter_map(|port| u16::try_from(port).ok()).collect()
}
