//! Topological order of functions: destinations come before the functions that refer to them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Function, FunctionName};

/// Orders functions so that each comes after its destinations; cycles are entered at their first
/// function by name.
pub fn of(functions: &BTreeMap<FunctionName, Function>) -> Vec<&FunctionName> {
    let (mut ordered, mut seen) = (Vec::new(), BTreeSet::new());
    for name in functions.keys() {
        visit(name, functions, &mut seen, &mut ordered);
    }
    ordered
}

/// Functions that are destinations of functions before them in that order, as in cycles.
pub fn needed_before<'a>(
    functions: &'a BTreeMap<FunctionName, Function>,
    order: &[&'a FunctionName],
) -> Vec<&'a FunctionName> {
    let mut needed = Vec::new();
    for (at, name) in order.iter().enumerate() {
        let targets = destinations(name, functions).filter(|target| order[at + 1..].contains(target));
        needed.extend(targets);
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Destinations of a function that the file declares.
fn destinations<'a>(
    name: &FunctionName,
    functions: &'a BTreeMap<FunctionName, Function>,
) -> impl Iterator<Item = &'a FunctionName> {
    let function = &functions[name];
    let targets = [&function.on_success, &function.on_failure].into_iter().flatten();
    let targets: Vec<FunctionName> =
        targets.filter_map(|target| Some(FunctionName::new(&name.namespace, target.strip_prefix("fn:")?))).collect();
    targets.into_iter().filter_map(|target| functions.get_key_value(&target).map(|(target, _)| target))
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
    for target in destinations(name, functions) {
        visit(target, functions, seen, ordered);
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
        let needed = |pairs: &[(&str, &str)]| {
            let functions = named(pairs);
            needed_before(&functions, &of(&functions)).into_iter().map(|name| name.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(needed(&[("a", "b"), ("b", "a"), ("c", "a"), ("d", "c")]), ["a"]);
        assert!(needed(&[("a", "c"), ("b", "x"), ("c", "b"), ("d", "d")]).is_empty());
    }
}
