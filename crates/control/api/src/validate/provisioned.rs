//! Provisioned concurrency of a version: a fixed number, scheduled numbers, or bounds for
//! utilisation tracking.

use std::collections::HashSet;

use schedule::Schedule;
use types::alias::Weight;
use types::limits::{PROVISIONED_ACTIONS_MAX, PROVISIONED_MAX};
use types::{ApiError, ErrorCode, ProvisionedSpec, ScheduledAction, Tracking};

use super::{filled, invalid, quoted, required};

/// Value of `ProvisionedType`: a fixed number.
pub(crate) const FIXED: &str = "Default";
/// Value of `ProvisionedType`: follows a target utilisation of the instances.
pub(crate) const TRACKING: &str = "ConcurrencyUtilizationTracking";
/// Longest name of an action, in characters.
const NAME_CHARS_MAX: usize = 60;

/// Request fields.
#[derive(Debug, Default)]
pub(crate) struct Given<'a> {
    pub number: Option<i64>,
    pub provisioned_type: Option<&'a str>,
    pub target: Option<f64>,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub actions: &'a [GivenAction],
}

/// An action in a request.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct GivenAction {
    trigger_name: Option<String>,
    trigger_provisioned_concurrency_num: Option<i64>,
    trigger_cron_config: Option<String>,
    provisioned_type: Option<String>,
}

/// Validates provisioned concurrency in effect from `set_ms` on; schedules use local time,
/// `utc_offset_s` seconds ahead of UTC. `None` if it never provisions an instance.
pub(crate) fn spec(given: &Given<'_>, set_ms: i64, utc_offset_s: i32) -> Result<Option<ProvisionedSpec>, ApiError> {
    let tracking = tracking(given)?;
    let number = match (&tracking, given.number) {
        (Some(_), None | Some(0)) => 0,
        (Some(_), Some(_)) => {
            let problem =
                format!("it is 0 where ProvisionedType is {TRACKING}; MinCapacity and MaxCapacity say how many");
            return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_TYPE, "VersionProvisionedConcurrencyNum", problem));
        }
        (None, wanted) => {
            let wanted = required("VersionProvisionedConcurrencyNum", wanted)?;
            instances("VersionProvisionedConcurrencyNum", wanted, ErrorCode::LIMIT_PROVISIONED_NUMBER)?
        }
    };
    let actions = actions(given.actions)?;
    let some = number > 0 || tracking.is_some() || !actions.is_empty();
    Ok(some.then_some(ProvisionedSpec { number, tracking, actions, set_ms, utc_offset_s }))
}

fn instances(field: &str, wanted: i64, code: ErrorCode) -> Result<u32, ApiError> {
    let number = u32::try_from(wanted).ok().filter(|number| *number <= PROVISIONED_MAX);
    number.ok_or_else(|| invalid(code, field, format!("{wanted} is not between 0 and {PROVISIONED_MAX}")))
}

fn tracking(given: &Given<'_>) -> Result<Option<Tracking>, ApiError> {
    match filled(given.provisioned_type) {
        None | Some(FIXED) => return Ok(None),
        Some(TRACKING) => {}
        Some(other) => {
            let problem = format!("{} is not allowed; use {FIXED} or {TRACKING}", quoted(other));
            return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_TYPE, "ProvisionedType", problem));
        }
    }
    let share = required("TrackingTarget", given.target)?;
    let target = Weight::from_fraction(share).filter(|target| 0.0 < target.fraction() && target.fraction() < 1.0);
    let target = target.ok_or_else(|| {
        let problem = format!("{share} is not between 0 and 1; 0.6 is a good share to begin with");
        invalid(ErrorCode::INVALID_VALUE_TRACKING_TARGET, "TrackingTarget", problem)
    })?;
    let max = instances("MaxCapacity", required("MaxCapacity", given.max)?, ErrorCode::LIMIT_MAX_CAPACITY)?;
    let wanted = given.min.unwrap_or(1);
    let min = u32::try_from(wanted).ok().filter(|min| (1..=max).contains(min)).ok_or_else(|| {
        let problem = format!("{wanted} is not between 1 and MaxCapacity, {max}");
        invalid(ErrorCode::INVALID_VALUE_MIN_CAPACITY, "MinCapacity", problem)
    })?;
    Ok(Some(Tracking { target, min, max }))
}

fn actions(given: &[GivenAction]) -> Result<Vec<ScheduledAction>, ApiError> {
    if given.len() > PROVISIONED_ACTIONS_MAX {
        let problem = format!("{} actions are given; a version has {PROVISIONED_ACTIONS_MAX} at most", given.len());
        return Err(invalid(ErrorCode::LIMIT_PROVISION_ACTIONS, "TriggerActions", problem));
    }
    let (mut names, mut crons) = (HashSet::new(), HashSet::new());
    let mut actions = Vec::with_capacity(given.len());
    for (index, action) in given.iter().enumerate() {
        let action = read_action(&format!("TriggerActions.{index}"), action)?;
        if !names.insert(action.name.clone()) {
            let problem = format!("{} is the name of two actions", quoted(&action.name));
            return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_NAME_DUPLICATE, "TriggerActions", problem));
        }
        if !crons.insert(action.cron.clone()) {
            let problem = format!("two actions come at {}", quoted(&action.cron));
            return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_CRON_DUPLICATE, "TriggerActions", problem));
        }
        actions.push(action);
    }
    Ok(actions)
}

fn read_action(at: &str, action: &GivenAction) -> Result<ScheduledAction, ApiError> {
    let field = |name: &str| format!("{at}.{name}");
    let name = required(&field("TriggerName"), filled(action.trigger_name.as_deref()))?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > NAME_CHARS_MAX || !name.chars().all(letters) {
        let problem = format!("{} is not allowed; use up to {NAME_CHARS_MAX} letters, digits, - and _", quoted(name));
        return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_NAME, &field("TriggerName"), problem));
    }
    let wanted = required(&field("TriggerProvisionedConcurrencyNum"), action.trigger_provisioned_concurrency_num)?;
    let number =
        instances(&field("TriggerProvisionedConcurrencyNum"), wanted, ErrorCode::INVALID_VALUE_TRIGGER_NUMBER)?;
    let cron = required(&field("TriggerCronConfig"), filled(action.trigger_cron_config.as_deref()))?;
    if let Err(problem) = cron.parse::<Schedule>() {
        let problem = format!("{}: {problem}", quoted(cron));
        return Err(invalid(ErrorCode::INVALID_VALUE_TRIGGER_CRON, &field("TriggerCronConfig"), problem));
    }
    if let Some(other) = filled(action.provisioned_type.as_deref()).filter(|other| *other != FIXED) {
        let problem = format!("{} is not allowed; use {FIXED}", quoted(other));
        return Err(invalid(ErrorCode::INVALID_VALUE_PROVISION_TYPE, &field("ProvisionedType"), problem));
    }
    let provisioned_type = action.provisioned_type.clone();
    Ok(ScheduledAction { name: name.to_owned(), number, cron: cron.to_owned(), provisioned_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(name: &str, number: i64, cron: &str) -> GivenAction {
        GivenAction {
            trigger_name: Some(name.to_owned()),
            trigger_provisioned_concurrency_num: Some(number),
            trigger_cron_config: Some(cron.to_owned()),
            provisioned_type: None,
        }
    }

    fn code(given: &Given<'_>) -> &'static str {
        spec(given, 0, 0).expect_err("not allowed").code.name
    }

    #[test]
    fn a_number_is_kept_and_nothing_is_nothing() {
        let given = |number| Given { number: Some(number), ..Given::default() };
        assert_eq!(spec(&given(0), 5, 7), Ok(None));
        let kept = spec(&given(3), 5, 7).expect("valid").expect("some");
        assert_eq!((kept.number, kept.most(), kept.set_ms, kept.utc_offset_s), (3, 3, 5, 7));
        assert_eq!(code(&Given::default()), "MissingParameter");
        for wrong in [-1, 1001] {
            assert_eq!(code(&given(wrong)), "LimitExceeded.FunctionTotalProvisionedConcurrencyNum");
        }
    }

    #[test]
    fn tracking_has_a_share_and_bounds() {
        let given = |target, min, max| Given {
            provisioned_type: Some(TRACKING),
            target: Some(target),
            min,
            max: Some(max),
            ..Given::default()
        };
        let kept = spec(&given(0.6, None, 9), 0, 0).expect("valid").expect("some");
        let tracking = kept.tracking.clone().expect("it tracks");
        assert_eq!((tracking.min, tracking.max, kept.most()), (1, 9, 9));
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(code(&given(share, None, 9)), "InvalidParameterValue.TrackingTarget");
        }
        for min in [0, 10, -1] {
            assert_eq!(code(&given(0.5, Some(min), 9)), "InvalidParameterValue.MinCapacity");
        }
        assert_eq!(code(&given(0.5, None, 1001)), "LimitExceeded.MaxCapacity");
        let both = Given { number: Some(1), ..given(0.5, None, 9) };
        assert_eq!(code(&both), "InvalidParameterValue.ProvisionType");
        let other = Given { provisioned_type: Some("Mood"), number: Some(1), ..Given::default() };
        assert_eq!(code(&other), "InvalidParameterValue.ProvisionType");
    }

    #[test]
    fn actions_have_names_and_times_of_their_own() {
        let given = |actions: &'static [GivenAction]| Given { number: Some(0), actions, ..Given::default() };
        let leak = |actions: Vec<GivenAction>| -> &'static [GivenAction] { Vec::leak(actions) };
        let day = leak(vec![action("up", 5, "0 0 9 * * * *"), action("down", 0, "0 0 18 * * * *")]);
        assert_eq!(spec(&given(day), 0, 0).expect("valid").expect("some").most(), 5);
        let same_name = leak(vec![action("a", 5, "0 0 9 * * * *"), action("a", 0, "0 0 18 * * * *")]);
        assert_eq!(code(&given(same_name)), "InvalidParameterValue.ProvisionTriggerNameDuplicate");
        let same_time = leak(vec![action("a", 5, "0 0 9 * * * *"), action("b", 0, "0 0 9 * * * *")]);
        assert_eq!(code(&given(same_time)), "InvalidParameterValue.ProvisionTriggerCronConfigDuplicate");
        assert_eq!(code(&given(leak(vec![action("a", 5, "0 9 * * *")]))), "InvalidParameterValue.TriggerCronConfig");
        let many = leak(vec![action("a", 1001, "0 0 9 * * * *")]);
        assert_eq!(code(&given(many)), "InvalidParameterValue.TriggerProvisionedConcurrencyNum");
        let named = leak(vec![action("a b", 1, "0 0 9 * * * *")]);
        assert_eq!(code(&given(named)), "InvalidParameterValue.ProvisionTriggerName");
        let crowd =
            (0..=PROVISIONED_ACTIONS_MAX).map(|n| action(&n.to_string(), 1, &format!("0 {n} 9 * * * *"))).collect();
        assert_eq!(code(&given(leak(crowd))), "LimitExceeded.ProvisionTriggerAction");
    }
}
