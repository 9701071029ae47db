//! User and groups of a process: the image's `USER`, resolved by the image's own files. Pure.

use types::limits::MAPPED_ID_MAX;

use crate::error::Error;

/// The value by which system calls leave an id unchanged (setresuid(2)).
const NO_ID: u32 = u32::MAX;

/// Ids inside the instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The group that may be above the mapped ids: its own, or the first such supplementary group.
    /// There is room for one, and files of all of them are folded into it.
    pub large_group: u32,
    /// Home directory by /etc/passwd, if the user is listed there.
    pub home: Option<String>,
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Fields after the id may be missing, and blanks may surround a line, as in container runtimes.
fn passwd(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, uid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        let gid = fields.next().filter(|gid| !gid.is_empty()).map_or(Ok(0), str::parse).ok()?;
        Some(Passwd { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

/// Resolves `user[:group]` with the content of /etc/passwd and /etc/group. A number is an id, even
/// where a name has the same digits, and need not be in the files.
pub fn resolve(user: &str, passwd_text: &str, group_text: &str) -> Result<Identity, Error> {
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = passwd(passwd_text).find(|p| number.map_or(p.name == user, |uid| p.uid == uid));
    let unknown = |kind, name: &str| Error::UnknownIdentity { kind, name: name.to_owned() };
    let (uid, own_gid) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(number)) => (number, 0),
        (None, None) => return Err(unknown("user", user)),
    };
    let gid = match group {
        None => own_gid,
        Some(name) => {
            let listed = || groups(group_text).find(|g| g.name == name).map(|g| g.gid);
            name.parse().ok().or_else(listed).ok_or_else(|| unknown("group", name))?
        }
    };
    let name = entry.as_ref().map(|e| e.name);
    let member = |g: &Group<'_>| name.is_some_and(|name| g.members.split(',').any(|m| m == name));
    // An explicit group has no supplementary groups beside it, as in container runtimes.
    let mut supplementary: Vec<u32> = match group {
        None => groups(group_text).filter(member).map(|g| g.gid).filter(|id| *id != NO_ID).collect(),
        Some(_) => Vec::new(),
    };
    let is_large = |id: &u32| *id > MAPPED_ID_MAX;
    let large_group = [gid].iter().chain(&supplementary).copied().find(is_large).unwrap_or(gid);
    supplementary.retain(|id| !is_large(id) || *id == large_group);
    for (what, id) in [("user", uid), ("group", gid)] {
        if id == NO_ID {
            return Err(Error::BadSpec {
                what,
                value: id.to_string(),
                reason: "it is the number that stands for none",
            });
        }
    }
    let home = entry.map(|e| e.home.to_owned()).filter(|home| !home.is_empty());
    Ok(Identity { uid, gid, groups: supplementary, large_group, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\nbroken line\n\
        large:x:1000660000:1000660000::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nextra:x:2000:other,app,large\n\
        large:x:1000660000:large\nelse:x:99999:large\n";

    fn ids(user: &str) -> Result<(u32, u32, Vec<u32>), Error> {
        resolve(user, PASSWD, GROUP).map(|i| (i.uid, i.gid, i.groups))
    }

    #[test]
    fn names_and_numbers_are_resolved_as_container_runtimes_do() {
        for (user, want) in [
            ("", (0, 0, vec![])),
            ("root", (0, 0, vec![])),
            ("app", (1000, 1001, vec![2000])),
            ("1000", (1000, 1001, vec![2000])),
            ("4242", (4242, 0, vec![])),
            ("app:extra", (1000, 2000, vec![])),
            ("7:8", (7, 8, vec![])),
            ("app:", (1000, 1001, vec![2000])),
            ("1000660001", (1_000_660_001, 0, vec![])),
            ("large", (1_000_660_000, 1_000_660_000, vec![2000, 1_000_660_000])),
        ] {
            assert_eq!(ids(user).expect(user), want, "{user}");
        }
    }

    #[test]
    fn a_number_is_an_id_whatever_names_there_are() {
        let passwd = "2000:x:0:0::/root:/bin/sh\n1000:x:5:6::/named:\nu:x:1000:7::/numbered:\n";
        let group = "50:x:77:\ng:x:50:\n";
        let ids = |user: &str| resolve(user, passwd, group).map(|i| (i.uid, i.gid, i.home)).expect(user);
        assert_eq!(ids("2000"), (2000, 0, None));
        assert_eq!(ids("1000"), (1000, 7, Some("/numbered".to_owned())));
        assert_eq!(ids("u:50").1, 50);
    }

    #[test]
    fn lines_may_end_early_and_have_blanks_around_them() {
        let passwd = "  u:x:1000:1001\nv:x:1002\nw:x:1003:1004::/w:/bin/sh\nno:x:number:1\n";
        let ids = |user: &str| resolve(user, passwd, "g:x:50\n").map(|i| (i.uid, i.gid, i.home));
        assert_eq!(ids("u").expect("short"), (1000, 1001, None));
        assert_eq!(ids("v:g").expect("shorter"), (1002, 50, None));
        assert_eq!(ids("w").expect("whole"), (1003, 1004, Some("/w".to_owned())));
        assert!(ids("no").is_err());
    }

    #[test]
    fn of_large_groups_one_has_a_place() {
        let group = "a:x:10:u\nb:x:70000:u\nc:x:80000:u\nd:x:65535:u\n";
        let of = |gid: u32| {
            let found = resolve("u", &format!("u:x:1000:{gid}::/:"), group).expect("known");
            (found.groups, found.large_group)
        };
        assert_eq!(of(1001), (vec![10, 70_000], 70_000));
        assert_eq!(of(80_000), (vec![10, 80_000], 80_000));
        assert_eq!(resolve("7:8", "", group).expect("numbers").large_group, 8);
    }

    #[test]
    fn names_that_the_image_lacks_are_named() {
        assert!(ids("nobody").expect_err("unknown").to_string().contains("\"nobody\""));
        assert!(ids("app:none").expect_err("unknown").to_string().contains("\"none\""));
        assert!(ids("4294967295").is_err() && ids("1:4294967295").is_err() && ids("4294967296").is_err());
    }

    #[test]
    fn the_home_is_the_users() {
        assert_eq!(resolve("app", PASSWD, GROUP).expect("known").home.as_deref(), Some("/srv"));
    }
}
