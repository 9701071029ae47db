//! `Sampan.Mounts` and `CfsConfig`: volumes of a version in our form and in the contract's.

use types::mount::{OWNER_DEFAULT, check_together};
use types::wire::{self, CfsConfig, CfsInsInfo};
use types::{ApiError, Bounds, ErrorCode, Mount};

use super::{filled, invalid};

const OWN: &str = "Sampan.Mounts";
const CFS: &str = "CfsConfig.CfsInsList";

/// The given mounts, or `base` if omitted; an empty list removes all.
pub(crate) fn listed(given: Option<&[wire::Mount]>, base: Vec<Mount>, bounds: &Bounds) -> Result<Vec<Mount>, ApiError> {
    let Some(given) = given else { return Ok(base) };
    let mounts = given.iter().enumerate().map(|(index, mount)| one(&format!("{OWN}.{index}"), mount, bounds));
    together(OWN, mounts.collect::<Result<_, _>>()?)
}

/// The mounts of a `CfsConfig`. An entry that equals a present mount keeps its read-only flag,
/// which the contract cannot express.
pub(crate) fn of_cfs(given: &CfsConfig, base: &[Mount], bounds: &Bounds) -> Result<Vec<Mount>, ApiError> {
    let mounts = given.cfs_ins_list.iter().enumerate().map(|(index, info)| {
        let mount = of_info(&format!("{CFS}.{index}"), info, bounds)?;
        let kept = base.iter().find(|kept| Mount { read_only: mount.read_only, ..(*kept).clone() } == mount);
        Ok(kept.cloned().unwrap_or(mount))
    });
    together(CFS, mounts.collect::<Result<_, _>>()?)
}

/// Mounts in the contract's form.
pub(crate) fn to_cfs(mounts: &[Mount]) -> CfsConfig {
    let info = |mount: &Mount| CfsInsInfo {
        user_id: mount.user_id.to_string(),
        user_group_id: mount.group_id.to_string(),
        cfs_id: mount.volume.to_string(),
        mount_ins_id: mount.volume.to_string(),
        local_mount_dir: mount.path.clone(),
        remote_mount_dir: format!("/{}", mount.sub),
        ..CfsInsInfo::default()
    };
    CfsConfig { cfs_ins_list: mounts.iter().map(info).collect() }
}

fn together(field: &str, mounts: Vec<Mount>) -> Result<Vec<Mount>, ApiError> {
    check_together(&mounts).map_err(|problem| invalid(ErrorCode::INVALID_VALUE, field, problem))?;
    Ok(mounts)
}

fn one(field: &str, given: &wire::Mount, bounds: &Bounds) -> Result<Mount, ApiError> {
    let mount = Mount::new(&given.volume, &given.sub, &given.path, given.read_only);
    let mount = mount.map_err(|problem| invalid(ErrorCode::INVALID_VALUE, field, problem))?;
    let user_id = owner(&format!("{field}.UserId"), given.user_id, bounds)?;
    let group_id = owner(&format!("{field}.GroupId"), given.group_id, bounds)?;
    Ok(Mount { user_id, group_id, ..mount })
}

fn of_info(field: &str, info: &CfsInsInfo, bounds: &Bounds) -> Result<Mount, ApiError> {
    let refuse =
        |name: &str, problem: &str| Err(invalid(ErrorCode::INVALID_VALUE, &format!("{field}.{name}"), problem));
    if filled(Some(&info.mount_ins_id)).is_some_and(|id| id != info.cfs_id) {
        return refuse("MountInsId", "a volume has one mount point, its name; leave it out or give CfsId again");
    }
    for (name, value) in
        [("IpAddress", &info.ip_address), ("MountVpcId", &info.mount_vpc_id), ("MountSubnetId", &info.mount_subnet_id)]
    {
        if filled(value.as_deref()).is_some() {
            return refuse(name, "it has no effect here, where volumes are of this machine; leave it out");
        }
    }
    let mount = Mount::new(&info.cfs_id, &info.remote_mount_dir, &info.local_mount_dir, false);
    let mount = mount.map_err(|problem| invalid(ErrorCode::INVALID_VALUE, field, problem))?;
    let id = |name: &str, text: &str| {
        let number = match text {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        let problem = "it is not a number";
        let name = format!("{field}.{name}");
        owner(&name, number.map_err(|_| invalid(ErrorCode::INVALID_VALUE, &name, problem))?, bounds)
    };
    let (user_id, group_id) = (id("UserId", &info.user_id)?, id("UserGroupId", &info.user_group_id)?);
    Ok(Mount { user_id, group_id, ..mount })
}

/// A user or group on disk.
fn owner(field: &str, given: Option<u32>, bounds: &Bounds) -> Result<u32, ApiError> {
    let (id, least) = (given.unwrap_or(OWNER_DEFAULT.max(bounds.volume_id_min)), bounds.volume_id_min.max(1));
    if (least..u32::MAX).contains(&id) {
        return Ok(id);
    }
    let problem = format!("{id} is not allowed; use {least} or more ([volumes] user_id_min)");
    Err(invalid(ErrorCode::INVALID_VALUE, field, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Mount {
        Mount::parse(text).expect("valid")
    }

    fn cfs(infos: &[(&str, &str, &str, &str)]) -> CfsConfig {
        let info = |(id, remote, local, user): &(&str, &str, &str, &str)| CfsInsInfo {
            cfs_id: (*id).to_owned(),
            remote_mount_dir: (*remote).to_owned(),
            local_mount_dir: (*local).to_owned(),
            user_id: (*user).to_owned(),
            ..CfsInsInfo::default()
        };
        CfsConfig { cfs_ins_list: infos.iter().map(info).collect() }
    }

    #[test]
    fn the_contracts_object_and_our_own_say_the_same() {
        let bounds = Bounds::default();
        let given = cfs(&[("data", "/a/b", "/srv", ""), ("other", "/", "/x", "10001")]);
        let mounts = of_cfs(&given, &[], &bounds).expect("valid");
        assert_eq!(mounts, [mount("data/a/b:/srv"), mount("other:/x:uid=10001")]);
        let own: Vec<_> = mounts.iter().map(wire::Mount::from).collect();
        assert_eq!(listed(Some(&own), Vec::new(), &bounds), Ok(mounts.clone()));
        assert_eq!(of_cfs(&to_cfs(&mounts), &[], &bounds), Ok(mounts.clone()), "what is shown can be sent again");
        assert_eq!(listed(None, mounts.clone(), &bounds), Ok(mounts.clone()));
        assert_eq!(listed(Some(&[]), mounts.clone(), &bounds), Ok(Vec::new()));
        assert_eq!(of_cfs(&CfsConfig::default(), &mounts, &bounds), Ok(Vec::new()));
    }

    #[test]
    fn a_tool_that_sends_what_it_read_makes_nothing_writable() {
        let base = [mount("data:/srv:ro"), mount("other:/x:ro")];
        let again = CfsConfig { cfs_ins_list: to_cfs(&base).cfs_ins_list[..1].to_vec() };
        assert_eq!(of_cfs(&again, &base, &Bounds::default()), Ok(vec![base[0].clone()]));
        let changed = cfs(&[("data", "/sub", "/srv", "")]);
        assert_eq!(of_cfs(&changed, &base, &Bounds::default()), Ok(vec![mount("data/sub:/srv")]));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let bounds = Bounds::default();
        let error = |given: &CfsConfig| of_cfs(given, &[], &bounds).expect_err("refused").message;
        for (given, said) in [
            (
                ("data", "/", "/srv", "0"),
                "CfsConfig.CfsInsList.0.UserId: 0 is not allowed; use 10000 or more ([volumes]",
            ),
            (("data", "/", "/srv", "root"), "CfsConfig.CfsInsList.0.UserId: it is not a number"),
            (("data", "/../x", "/srv", ""), "CfsConfig.CfsInsList.0: \"/../x\" has a part"),
            (("cfs_1", "/", "/srv", ""), "CfsConfig.CfsInsList.0: volume name"),
            (("data", "/", "/proc", ""), "CfsConfig.CfsInsList.0: /proc cannot be"),
        ] {
            let message = error(&cfs(&[given]));
            assert!(message.starts_with(said), "{message}");
        }
        let mut address = cfs(&[("data", "/", "/srv", "")]);
        address.cfs_ins_list[0].ip_address = Some("10.0.0.1".to_owned());
        assert!(error(&address).starts_with("CfsConfig.CfsInsList.0.IpAddress: it has no effect"));
        address.cfs_ins_list[0].mount_ins_id = "cfs-2".to_owned();
        assert!(error(&address).starts_with("CfsConfig.CfsInsList.0.MountInsId"));
        assert!(error(&cfs(&[("a", "/", "/x", ""), ("b", "/", "/x/y", "")])).starts_with("CfsConfig.CfsInsList: /x/y"));
        let raised = Bounds { volume_id_min: 1, ..Bounds::default() };
        assert_eq!(of_cfs(&cfs(&[("data", "/", "/srv", "33")]), &[], &raised), Ok(vec![mount("data:/srv:uid=33")]));
        let root =
            wire::Mount { user_id: Some(0), volume: "d".to_owned(), path: "/d".to_owned(), ..Default::default() };
        assert!(listed(Some(&[root]), Vec::new(), &raised).is_err(), "root on disk is nobody's");
    }
}
