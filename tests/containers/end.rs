//! After the end.

use anyhow::Result;
use system_tests::engine::{Project, project::bridges};

pub(crate) fn nothing_is_left_after_the_end(project: &mut Project) -> Result<()> {
    project.down()?;

    assert_eq!(project.objects()?, Vec::<String>::new(), "containers, networks or volumes are left");
    let bridges = bridges()?;
    assert!(bridges.is_subset(&project.bridges_before), "bridges are left: {bridges:?}");
    if let Some(engine) = project.engine.daemon.as_mut() {
        engine.remove()?;
        assert_eq!(engine.leftovers()?, Vec::<String>::new(), "something of the engine is left");
    }
    Ok(())
}
