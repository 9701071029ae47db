//! The actions of the API that are not answered, each with what serves its purpose here. Pure.

const LAYERS: &str = "layers belong to functions made of code packages; put what a layer holds into the image";

const ACTIONS: [(&str, &str); 6] = [
    ("GetFunctionAddress", "a function has no code package to download; GetFunction names its image in ImageConfig"),
    ("PublishLayerVersion", LAYERS),
    ("GetLayerVersion", LAYERS),
    ("DeleteLayerVersion", LAYERS),
    ("ListLayers", LAYERS),
    ("ListLayerVersions", LAYERS),
];

/// What to use in place of an action; `None` for what is no such action.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(action, _)| *action == name).map(|(_, instead)| *instead)
}

/// The names of these actions.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(action, _)| *action)
}
