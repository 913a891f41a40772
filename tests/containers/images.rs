//! What the images of the services are made of.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stack::Shape;
use system_tests::engine::{Project, stand_ins::public_images};

/// What a service may add to its base image.
const SIZE_MAX_BYTES: u64 = 40_000_000;

/// What an image tells its container, beside what the base image does.
const OWN_ENVIRONMENT: [&str; 1] = ["PARKING__HTTP__BIND"];

pub(crate) fn the_images_are_small_and_hold_no_secret(project: &mut Project) -> Result<()> {
    let base = public_images()?.remove("cc-debian13").context("another base image")?;
    let base = inspect(project, &base)?;
    for part in Shape::default().services() {
        let name = format!("parking-cqrs/{part}");
        let image = inspect(project, &name)?;
        let own = size(&image)?.checked_sub(size(&base)?).context("smaller than its base")?;
        println!("{name} adds {:.1} MB to its base image", own as f64 / 1e6);
        ensure!(own < SIZE_MAX_BYTES, "{name} adds {own} bytes to its base image");
        check_environment(&image, &base).context(name.clone())?;

        let history = project.engine.run(&["history", "--no-trunc", "--format", "{{.CreatedBy}}", &name])?;
        for secret in ["PASSWORD", "://", "parking:"] {
            ensure!(!history.contains(secret), "{name} was made with a secret: {history}");
            ensure!(!image["Config"].to_string().contains(secret), "{name} holds a secret: {image}");
        }
        // One layer beside those of the base: the program.
        let layers = |image: &Value| image["RootFS"]["Layers"].as_array().map_or(0, Vec::len);
        assert_eq!(layers(&image), layers(&base) + 1, "{history}");
    }
    Ok(())
}

fn inspect(project: &Project, image: &str) -> Result<Value> {
    let found = project.engine.run(&["image", "inspect", image])?;
    Ok(serde_json::from_str::<Vec<Value>>(&found)?.remove(0))
}

fn size(image: &Value) -> Result<u64> {
    image["Size"].as_u64().context("an image without a size")
}

fn check_environment(image: &Value, base: &Value) -> Result<()> {
    let names = |image: &Value| -> Vec<String> {
        let variables = image["Config"]["Env"].as_array().cloned().unwrap_or_default();
        let name = |variable: &Value| Some(variable.as_str()?.split('=').next()?.to_owned());
        variables.iter().filter_map(name).collect()
    };
    let of_base = names(base);
    let own: Vec<String> = names(image).into_iter().filter(|name| !of_base.contains(name)).collect();
    ensure!(own == OWN_ENVIRONMENT, "it tells its container {own:?}");
    Ok(())
}
