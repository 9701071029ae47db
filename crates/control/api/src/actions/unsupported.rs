//! Actions of the API without a handler, each with its alternative. Pure.

const LAYERS: &str = "layers belong to functions made of code packages; put what a layer holds into the image";

const ACTIONS: [(&str, &str); 6] = [
    ("GetFunctionAddress", "a function has no code package to download; GetFunction names its image in ImageConfig"),
    ("PublishLayerVersion", LAYERS),
    ("GetLayerVersion", LAYERS),
    ("DeleteLayerVersion", LAYERS),
    ("ListLayers", LAYERS),
    ("ListLayerVersions", LAYERS),
];

/// The alternative to an action; `None` for unknown names.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(action, _)| *action == name).map(|(_, instead)| *instead)
}

/// The names of these actions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(action, _)| *action)
}
