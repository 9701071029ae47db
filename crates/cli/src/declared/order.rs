//! The order of need among functions: a destination is there before the function whose events go to
//! it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Function, FunctionName};

/// The functions in an order in which each comes after its destinations; those that are in a circle
/// come by their names.
pub fn of(functions: &BTreeMap<FunctionName, Function>) -> Vec<&FunctionName> {
    let (mut ordered, mut seen) = (Vec::new(), BTreeSet::new());
    for name in functions.keys() {
        visit(name, functions, &mut seen, &mut ordered);
    }
    ordered
}

fn visit<'a>(
    name: &'a FunctionName,
    functions: &'a BTreeMap<FunctionName, Function>,
    seen: &mut BTreeSet<&'a FunctionName>,
    ordered: &mut Vec<&'a FunctionName>,
) {
    if !seen.insert(name) {
        return;
    }
    let function = &functions[name];
    for destination in [&function.on_success, &function.on_failure].into_iter().flatten() {
        let Some(target) = destination.strip_prefix("fn:") else { continue };
        if let Some((target, _)) = functions.get_key_value(&FunctionName::new(&name.namespace, target)) {
            visit(target, functions, seen, ordered);
        }
    }
    ordered.push(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_come_first_and_circles_end() {
        let function = |target: &str| Function { on_failure: Some(format!("fn:{target}")), ..Function::default() };
        let named = |pairs: &[(&str, &str)]| -> BTreeMap<FunctionName, Function> {
            pairs.iter().map(|(name, target)| (FunctionName::new("default", name), function(target))).collect()
        };
        let order =
            |pairs: &[(&str, &str)]| of(&named(pairs)).into_iter().map(|name| name.name.clone()).collect::<Vec<_>>();
        assert_eq!(order(&[("a", "c"), ("b", "x"), ("c", "b")]), ["b", "c", "a"]);
        assert_eq!(order(&[("a", "b"), ("b", "a"), ("c", "c")]), ["b", "a", "c"]);
    }
}
