//! `CreateFunction`: stores the function; its image is prepared after the answer.

use types::wire::CreateFunctionRequest;

use crate::actions::Outcome;
use crate::actions::functions::{destinations, volumes};
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::validate::creation;

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let new = creation::new_function(params.read::<CreateFunctionRequest>()?, &cx.host_environment)?;
    cx.host_environment.check_runtime(&new.tags)?;
    destinations::check_targets(cx, &new.key, new.spec.carried.iter())?;
    volumes::check(cx, new.spec.extras.mounts.clone()).await?;
    cx.store.create_function(new).await?;
    Ok(Answer::empty())
}
