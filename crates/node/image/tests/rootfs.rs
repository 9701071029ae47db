//! Prepared layers under a real overlayfs. Needs root with CAP_SYS_ADMIN, and an overlayfs in the kernel.

mod support;

use std::path::{Path, PathBuf};

use image::Rootfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::registry::Registry;
use support::{Layer, config, image, layer, store};

/// A mounted root file system, unmounted when it goes.
struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    fn new(rootfs: &Rootfs) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["upper", "work", "root"] {
            std::fs::create_dir(dir.path().join(name)).expect("made");
        }
        let lower: Vec<_> = rootfs.lower_dirs.iter().map(|dir| dir.to_str().expect("text")).collect();
        let at = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), at("upper"), at("work"));
        let options = std::ffi::CString::new(options).expect("no NUL");
        mount("overlay", dir.path().join("root"), "overlay", MountFlags::empty(), Some(options.as_c_str()))
            .expect("mounting overlayfs needs root with CAP_SYS_ADMIN");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    fn list(&self, name: &str) -> Vec<String> {
        support::list(&self.path(name))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(self.dir.path().join("root"), UnmountFlags::DETACH).expect("mounted above");
    }
}

fn stack() -> Vec<Layer> {
    let low = layer(&[
        ("bin/", ""),
        ("bin/tool", "tool"),
        ("etc/", ""),
        ("etc/old", "old"),
        ("etc/kept", "kept"),
        ("var/", ""),
        ("var/a", "1"),
        ("var/b", "2"),
    ]);
    let middle = layer(&[("etc/.wh.old", ""), ("var/", ""), ("var/.wh..wh..opq", ""), ("var/c", "3")]);
    let top = layer(&[("bin/alias=>bin/tool", ""), ("etc/old", "new")]);
    // The first layer again, as builders repeat empty ones: overlayfs would refuse its directory twice.
    let again = layer(&[("x", "x")]);
    vec![again.clone(), low, middle, top, again]
}

#[tokio::test]
async fn a_mounted_image_looks_as_its_layers_say() {
    let (store, registry) = (store().await, Registry::start().await);
    let prepared = store.prepare(&registry.serve("v1", &image(&stack()))).await.expect("a good image");
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    let mounted = Mounted::new(&rootfs);
    assert_eq!(mounted.list(""), ["bin", "etc", "var", "x"]);
    assert_eq!(mounted.list("var"), ["c"]);
    assert_eq!(mounted.list("etc"), ["kept", "old"]);
    assert_eq!((mounted.read("etc/old"), mounted.read("bin/alias")), ("new".into(), "tool".into()));
    std::fs::write(mounted.path("etc/kept"), "changed").expect("the upper layer takes it");
    let again = Mounted::new(&store.images.rootfs(&prepared.digest).await.expect("prepared"));
    assert_eq!(again.read("etc/kept"), "kept", "instances do not see each other");
}

#[tokio::test]
async fn a_prepared_image_needs_no_registry_after_a_restart() {
    let (store, registry) = (store().await, Registry::start().await);
    let prepared = store.prepare(&registry.serve("v1", &image(&stack()))).await.expect("a good image");
    let before = store.images.rootfs(&prepared.digest).await.expect("prepared").lower_dirs.clone();
    drop(registry);
    let store = store.restart(config()).await;
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("on disk");
    assert_eq!((&rootfs.lower_dirs, &rootfs.run), (&before, &prepared.run));
    assert_eq!(Mounted::new(&rootfs).read("bin/alias"), "tool");
    assert_eq!(store.images.collect_garbage().await.expect("collected"), image::Collected::default());
}

#[tokio::test]
async fn an_image_without_layers_has_an_empty_root() {
    let (store, registry) = (store().await, Registry::start().await);
    let prepared = store.prepare(&registry.serve("v1", &image(&[]))).await.expect("a good image");
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    assert_eq!(Mounted::new(&rootfs).list(""), Vec::<String>::new());
}

#[tokio::test]
async fn images_share_the_layers_that_they_have_in_common() {
    let (store, registry) = (store().await, Registry::start().await);
    let base = layer(&[("etc/", ""), ("etc/name", "base")]);
    let one = store.prepare(&registry.serve("a", &image(&[base.clone(), layer(&[("a", "")])]))).await.expect("good");
    let two = store.prepare(&registry.serve("b", &image(&[base, layer(&[("b", "")])]))).await.expect("good");
    let lowest = |rootfs: Rootfs| rootfs.lower_dirs.last().cloned();
    let (one, two) = (store.images.rootfs(&one.digest).await, store.images.rootfs(&two.digest).await);
    assert_eq!(lowest(one.expect("prepared")), lowest(two.expect("prepared")));
    assert_eq!(store.list("layers").len(), 4, "three layers and the empty one");
    assert!(Path::new(store.dir.path()).is_absolute());
}
