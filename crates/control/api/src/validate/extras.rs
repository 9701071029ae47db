//! `Sampan`: settings that the reference's API has no fields for; one validator per member.

use std::ops::RangeInclusive;

use types::egress::{Host, IpRange};
use types::wire;
use types::{ApiError, Bounds, Egress, ErrorCode, Extras};

use super::{invalid, mounts, secret_files};

/// Least CPU of a function, in thousandths of a core: with less a request mostly waits for the next
/// period of the CPU quota.
const CPU_MILLI_MIN: u32 = 100;
/// Fewest open files; programs do not start with fewer.
const FILES_MIN: u32 = 64;
/// Fewest processes and threads.
const PIDS_MIN: u32 = 8;
/// Smallest `/tmp` on disk, in MB: the file system itself takes space.
const TMP_MB_MIN: u32 = 16;
/// Most host ports of one function.
const HOST_PORTS_MAX: usize = 32;

/// Applies the given settings; omitted members are unchanged.
pub(crate) fn apply(given: Option<&wire::Extras>, base: Extras, bounds: &Bounds) -> Result<Extras, ApiError> {
    let Some(given) = given else { return Ok(base) };
    Ok(Extras {
        cpu_milli: cpu_milli(given.cpu_milli, base.cpu_milli, bounds)?,
        shm_mb: shm_mb(given.shm_mb, base.shm_mb)?,
        files_max: files_max(given.files_max, base.files_max, bounds)?,
        pids_max: pids_max(given.pids_max, base.pids_max, bounds)?,
        egress: egress(given.egress.as_deref(), base.egress)?,
        mounts: mounts::listed(given.mounts.as_deref(), base.mounts, bounds)?,
        host_ports: host_ports(given.host_ports.as_deref(), base.host_ports, bounds)?,
        tmp_mb: tmp_mb(given.tmp_mb, base.tmp_mb, bounds)?,
        secret_files: secret_files::listed(given.secret_files.as_deref(), base.secret_files)?,
    })
}

/// Refuses settings that conflict with each other or with the version's memory.
pub(crate) fn check_together(extras: &Extras, memory_mb: u32) -> Result<(), ApiError> {
    if extras.tmp_mb.is_some() && extras.mounts.iter().any(|mount| mount.path == "/tmp") {
        let problem = "a volume is mounted at /tmp; take one of both away";
        return Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.TmpMb", problem));
    }
    match extras.shm_mb {
        Some(shm_mb) if shm_mb > memory_mb => {
            let problem = format!(
                "{shm_mb} MB are more than the function's memory, of which they are a part; use {memory_mb} at most or \
                 raise MemorySize"
            );
            Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.ShmMb", problem))
        }
        _ => Ok(()),
    }
}

/// Suffix of the platform's own names; egress lists affect only the gateway's.
const RESERVED: &str = ".sampan.internal";
const GATEWAY_NAME: &str = "gateway.sampan.internal";

/// Refuses egress entries without effect: ranges that the operator denies, address families that
/// instances do not have, and platform names that egress lists do not control.
pub(crate) fn check_egress(
    extras: &Extras,
    denied: &[(IpRange, &str)],
    ipv6_off: Option<&str>,
) -> Result<(), ApiError> {
    for destination in extras.egress.iter().flat_map(Egress::destinations) {
        let Host::Range(range) = &destination.host else {
            let name = destination.host.to_string();
            if name.ends_with(RESERVED) && name != GATEWAY_NAME && !name.starts_with('*') {
                let problem = format!(
                    "{destination} is not a matter of the list: ports of the machine are reached with HostPorts \
                     (--host-port), whatever the list has; take it off the list"
                );
                return Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.Egress", problem));
            }
            continue;
        };
        if let Some(reason) = ipv6_off.filter(|_| range.first().is_ipv6()) {
            let problem = format!(
                "{destination} is of IPv6, which instances do not have here: {reason}; use IPv4 or a name, or see \
                 [network] ipv6"
            );
            return Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.Egress", problem));
        }
        if let Some((by, setting)) = denied.iter().find(|(by, _)| range.is_within(*by)) {
            let problem = format!(
                "{destination} is within {by}, which no function reaches here ({setting}); take it off the list"
            );
            return Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.Egress", problem));
        }
    }
    Ok(())
}

/// Parses the egress list; an empty one removes it.
fn egress(given: Option<&[String]>, base: Option<Egress>) -> Result<Option<Egress>, ApiError> {
    match given {
        None => Ok(base),
        Some([]) => Ok(None),
        Some(entries) => {
            let list = Egress::parse(entries);
            list.map(Some).map_err(|error| invalid(ErrorCode::INVALID_VALUE, "Sampan.Egress", error.to_string()))
        }
    }
}

fn cpu_milli(given: Option<i64>, base: Option<u32>, bounds: &Bounds) -> Result<Option<u32>, ApiError> {
    let allowed = CPU_MILLI_MIN..=bounds.cpu_milli;
    number("Sampan.CpuMilli", "thousandths of a core", given, base, allowed, "[launcher] cpu_milli_max")
}

fn shm_mb(given: Option<i64>, base: Option<u32>) -> Result<Option<u32>, ApiError> {
    number("Sampan.ShmMb", "MB", given, base, 1..=u32::MAX, "the function's memory")
}

fn tmp_mb(given: Option<i64>, base: Option<u32>, bounds: &Bounds) -> Result<Option<u32>, ApiError> {
    number("Sampan.TmpMb", "MB", given, base, TMP_MB_MIN..=bounds.tmp_mb, bounds.tmp_setting)
}

fn files_max(given: Option<i64>, base: Option<u32>, bounds: &Bounds) -> Result<Option<u32>, ApiError> {
    let allowed = FILES_MIN..=bounds.files;
    number("Sampan.FilesMax", "open files", given, base, allowed, "[launcher] files_per_function_max")
}

fn pids_max(given: Option<i64>, base: Option<u32>, bounds: &Bounds) -> Result<Option<u32>, ApiError> {
    let allowed = PIDS_MIN..=bounds.pids;
    number("Sampan.PidsMax", "processes", given, base, allowed, "[launcher] pids_per_function_max")
}

/// Validates ports against the operator's ranges; sorts and deduplicates them.
fn host_ports(given: Option<&[i64]>, base: Vec<u16>, bounds: &Bounds) -> Result<Vec<u16>, ApiError> {
    let Some(given) = given else { return Ok(base) };
    let refused = |problem| Err(invalid(ErrorCode::INVALID_VALUE, "Sampan.HostPorts", problem));
    if given.len() > HOST_PORTS_MAX {
        return refused(format!("{} ports are too many; use {HOST_PORTS_MAX} at most", given.len()));
    }
    let mut ports = Vec::new();
    for given in given {
        match u16::try_from(*given).ok().filter(|port| bounds.host_ports.iter().any(|range| range.contains(*port))) {
            Some(port) => ports.push(port),
            None => return refused(not_allowed(*given, bounds)),
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

fn not_allowed(port: i64, bounds: &Bounds) -> String {
    let allowed = bounds.host_ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let has = if allowed.is_empty() { "is empty".to_owned() } else { format!("has {allowed}") };
    format!("port {port} of this machine is not open to functions; add it to [network] host_ports, which {has}")
}

/// Validates a number; 0 removes the setting.
fn number(
    field: &str,
    unit: &str,
    given: Option<i64>,
    base: Option<u32>,
    allowed: RangeInclusive<u32>,
    setting: &str,
) -> Result<Option<u32>, ApiError> {
    match given {
        None => Ok(base),
        Some(0) => Ok(None),
        Some(given) => match u32::try_from(given).ok().filter(|given| allowed.contains(given)) {
            Some(given) => Ok(Some(given)),
            None => {
                let (least, most) = (allowed.start(), allowed.end());
                let problem =
                    format!("{given} is not allowed; use {least} to {most} {unit} ({setting}), or 0 for none");
                Err(invalid(ErrorCode::INVALID_VALUE, field, problem))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(given: wire::Extras, base: Extras) -> Result<Extras, String> {
        apply(Some(&given), base, &Bounds { cpu_milli: 2_000, ..Bounds::default() }).map_err(|error| error.message)
    }

    #[test]
    fn what_is_given_replaces_and_nothing_takes_away() {
        let base = Extras { cpu_milli: Some(500), files_max: Some(4_096), ..Extras::default() };
        let given = wire::Extras { cpu_milli: Some(0), pids_max: Some(64), ..wire::Extras::default() };
        let expected = Extras { files_max: Some(4_096), pids_max: Some(64), ..Extras::default() };
        assert_eq!(applied(given, base.clone()), Ok(expected));
        assert_eq!(apply(None, base.clone(), &Bounds::default()), Ok(base.clone()));
        // An answer is accepted as a request.
        assert_eq!(applied((&base).into(), Extras { shm_mb: Some(9), ..Extras::default() }), Ok(base));
    }

    #[test]
    fn a_number_beyond_its_bounds_names_them_and_the_setting() {
        for (given, expected) in [
            (
                wire::Extras { cpu_milli: Some(2_001), ..wire::Extras::default() },
                "Sampan.CpuMilli: 2001 is not allowed; use 100 to 2000 thousandths of a core \
                 ([launcher] cpu_milli_max), or 0 for none",
            ),
            (
                wire::Extras { pids_max: Some(-1), ..wire::Extras::default() },
                "Sampan.PidsMax: -1 is not allowed; use 8 to 32768 processes ([launcher] pids_per_function_max), or 0 \
                 for none",
            ),
        ] {
            assert_eq!(applied(given, Extras::default()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_list_of_egress_is_replaced_and_taken_away() {
        let list = |entries: &[&str]| wire::Extras {
            egress: Some(entries.iter().map(|entry| (*entry).to_owned()).collect()),
            ..wire::Extras::default()
        };
        let base = applied(list(&["10.0.0.0/8", "db.example.com:5432"]), Extras::default()).expect("a list");
        assert_eq!(applied((&base).into(), Extras::default()).as_ref(), Ok(&base));
        assert_eq!(applied(wire::Extras::default(), base.clone()).as_ref(), Ok(&base));
        assert_eq!(applied(list(&[]), base.clone()), Ok(Extras::default()));
        let none = applied(list(&["none"]), base).expect("a list").egress.expect("one that allows nothing");
        assert!(none.destinations().is_empty());
        let error = applied(list(&["10.0.0.1/8"]), Extras::default()).expect_err("bits beyond");
        assert_eq!(error, "Sampan.Egress: \"10.0.0.1/8\" has bits beyond its prefix; did you mean 10.0.0.0/8?");
    }

    #[test]
    fn an_entry_that_is_denied_here_names_the_setting() {
        let denied = [("169.254.0.0/16".parse().expect("a range"), "[network] denied")];
        let checked_with = |entry: &str, ipv6_off| {
            let egress = Some(Egress::parse(&[entry]).expect("a list"));
            check_egress(&Extras { egress, ..Extras::default() }, &denied, ipv6_off).map_err(|error| error.message)
        };
        let checked = |entry: &str| checked_with(entry, None);
        let error = checked_with("[2001:db8::/32]:443", Some("the kernel has no IPv6")).expect_err("refused");
        assert!(error.contains("[2001:db8::/32]:443 is of IPv6") && error.contains("has no IPv6; use IPv4"), "{error}");
        assert!(checked("[2001:db8::/32]:443").is_ok());
        let expected = "Sampan.Egress: 169.254.169.254:80 is within 169.254.0.0/16, which no function reaches here \
                        ([network] denied); take it off the list";
        assert_eq!(checked("169.254.169.254:80"), Err(expected.to_owned()));
        // A range wider than a denied one still reaches its other addresses; names are resolved at
        // run time.
        assert!(checked("169.0.0.0/8").is_ok() && checked("169.254.169.254.example.com").is_ok());
        // Egress lists do not control host ports.
        for name in ["host.sampan.internal", "Host.sampan.internal.:3306", "other.sampan.internal"] {
            assert!(checked(name).is_err_and(|error| error.contains("--host-port")), "{name}");
        }
        for name in ["gateway.sampan.internal:80", "*.sampan.internal", "host.sampan.internal.example.com"] {
            assert_eq!(checked(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn ports_of_the_machine_are_among_those_of_the_operator() {
        let bounds = Bounds {
            host_ports: ["3306", "5432-5440"].iter().map(|text| text.parse().expect("ports")).collect(),
            ..Bounds::default()
        };
        let ports =
            |given: &[i64], bounds: &Bounds| host_ports(Some(given), vec![1], bounds).map_err(|error| error.message);
        assert_eq!(ports(&[5440, 3306, 5432, 3306], &bounds), Ok(vec![3306, 5432, 5440]));
        assert_eq!(ports(&[], &bounds), Ok(Vec::new()));
        assert_eq!(host_ports(None, vec![1], &bounds), Ok(vec![1]));
        let message = |port, has| {
            format!(
                "Sampan.HostPorts: port {port} of this machine is not open to functions; add it to [network] \
                 host_ports, which {has}"
            )
        };
        for port in [22, 0, -1, 65_536, 5441] {
            assert_eq!(ports(&[3306, port], &bounds), Err(message(port, "has 3306, 5432-5440")));
        }
        assert_eq!(ports(&[3306], &Bounds::default()), Err(message(3306, "is empty")));
        assert!(ports(&[3306; 33], &bounds).expect_err("many").contains("32 at most"));
    }

    #[test]
    fn a_tmp_on_disk_is_within_the_operators_bound_and_alone_at_its_path() {
        let bounds = Bounds { tmp_mb: 900, tmp_setting: "[volumes] tmp_all_mb_max", ..Bounds::default() };
        let tmp = |given| tmp_mb(Some(given), Some(64), &bounds).map_err(|error| error.message);
        assert_eq!([tmp(0), tmp(16), tmp(900)], [Ok(None), Ok(Some(16)), Ok(Some(900))]);
        assert_eq!(tmp_mb(None, Some(64), &bounds), Ok(Some(64)));
        for given in [-1, 15, 901] {
            let expected = format!(
                "Sampan.TmpMb: {given} is not allowed; use 16 to 900 MB ([volumes] tmp_all_mb_max), or 0 for none"
            );
            assert_eq!(tmp(given), Err(expected));
        }
        let mounts = |path| vec![types::Mount::new("data", "", path, false).expect("valid")];
        let extras = |path| Extras { tmp_mb: Some(16), mounts: mounts(path), ..Extras::default() };
        assert!(check_together(&extras("/tmp/data"), 128).is_ok());
        let error = check_together(&extras("/tmp"), 128).expect_err("both").message;
        assert!(error.starts_with("Sampan.TmpMb: a volume is mounted at /tmp"), "{error}");
    }

    #[test]
    fn shared_memory_is_part_of_the_memory() {
        let extras = |shm_mb| Extras { shm_mb: Some(shm_mb), ..Extras::default() };
        assert!(check_together(&extras(128), 128).is_ok());
        let error = check_together(&extras(129), 128).expect_err("too large");
        assert!(error.message.starts_with("Sampan.ShmMb: 129 MB are more"), "{}", error.message);
    }
}
