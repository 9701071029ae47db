//! Prepared images under a real overlayfs, with every method of creating root file systems. Needs
//! root with CAP_SYS_ADMIN, and overlayfs, EROFS and loop devices in the kernel.

mod support;

use std::path::PathBuf;

use image::{Config, Rootfs, RootfsMode};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::registry::Registry;
use support::{Layer, config, digest, image, layer, store, store_with};

/// A mounted root file system, unmounted when dropped.
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
    // The first layer again, as builders repeat empty ones: overlayfs would reject the same
    // directory twice.
    let again = layer(&[("x", "x")]);
    vec![again.clone(), low, middle, top, again]
}

const MODES: [RootfsMode; 3] = [RootfsMode::Erofs, RootfsMode::ErofsLoop, RootfsMode::Files];

fn with(rootfs: RootfsMode) -> Config {
    Config { rootfs, ..config() }
}

#[tokio::test]
async fn a_mounted_image_looks_as_its_layers_say() {
    let registry = Registry::start().await;
    for mode in MODES {
        let store = store_with(with(mode)).await;
        let prepared = store.prepare(&registry.serve("v1", &image(&stack()))).await.expect("a good image");
        let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
        let mounted = Mounted::new(&rootfs);
        assert_eq!(mounted.list(""), ["bin", "etc", "var", "x"], "{mode:?}");
        assert_eq!(mounted.list("var"), ["c"]);
        assert_eq!(mounted.list("etc"), ["kept", "old"]);
        assert_eq!((mounted.read("etc/old"), mounted.read("bin/alias")), ("new".into(), "tool".into()));
        std::fs::write(mounted.path("etc/kept"), "changed").expect("the upper layer takes it");
        let again = Mounted::new(&store.images.rootfs(&prepared.digest).await.expect("prepared"));
        assert_eq!(again.read("etc/kept"), "kept", "instances do not see each other");
    }
}

#[tokio::test]
async fn a_prepared_image_needs_no_registry_after_a_restart() {
    for mode in MODES {
        let (store, registry) = (store_with(with(mode)).await, Registry::start().await);
        let prepared = store.prepare(&registry.serve("v1", &image(&stack()))).await.expect("a good image");
        drop(registry);
        let store = store.restart(with(mode)).await;
        let rootfs = store.images.rootfs(&prepared.digest).await.expect("on disk");
        assert_eq!(rootfs.run, prepared.run);
        assert_eq!(Mounted::new(&rootfs).read("bin/alias"), "tool");
        if mode != RootfsMode::Files {
            assert_eq!(store.images.collect_garbage().await.expect("collected"), image::Collected::default());
        }
    }
}

#[tokio::test]
async fn what_a_crash_left_mounted_is_unmounted_by_the_next_start() {
    let (store, registry) = (store_with(with(RootfsMode::ErofsLoop)).await, Registry::start().await);
    let prepared = store.prepare(&registry.serve("v1", &image(&stack()))).await.expect("a good image");
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    assert_eq!(store.list("mounts").len(), 1);
    // A killed process runs no destructors.
    std::mem::forget(rootfs);
    let store = store.restart(with(RootfsMode::ErofsLoop)).await;
    assert_eq!(store.list("mounts"), Vec::<String>::new());
    let below = store.dir.path().display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("there");
    assert!(!mounts.contains(&below), "{mounts}");
}

#[tokio::test]
async fn an_image_without_layers_has_an_empty_root() {
    let registry = Registry::start().await;
    for mode in MODES {
        let store = store_with(with(mode)).await;
        let prepared = store.prepare(&registry.serve("v1", &image(&[]))).await.expect("a good image");
        let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
        assert_eq!(Mounted::new(&rootfs).list(""), Vec::<String>::new());
    }
}

#[tokio::test]
async fn images_share_the_layers_that_they_have_in_common() {
    let (store, registry) = (store().await, Registry::start().await);
    let base = layer(&[("etc/", ""), ("etc/name", "base")]);
    let one = store.prepare(&registry.serve("a", &image(&[base.clone(), layer(&[("a", "")])]))).await.expect("good");
    let two = store.prepare(&registry.serve("b", &image(&[base, layer(&[("b", "")])]))).await.expect("good");
    for prepared in [one, two] {
        let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
        assert_eq!(Mounted::new(&rootfs).read("etc/name"), "base");
    }
    assert_eq!(store.list("layers").len(), 5, "three layers and two root file systems");
}

/// A file of an owner without an id in instances.
fn owned() -> Layer {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_uid(345_018);
    header.set_gid(1_000_660_000);
    header.set_mtime(0);
    header.set_size(6);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "app/key", &b"secret"[..]).expect("a file");
    let tar = tar.into_inner().expect("memory takes all");
    support::layer_of(&tar, &digest(&tar))
}

#[tokio::test]
async fn owners_that_no_instance_has_become_one_that_each_has() {
    use std::os::unix::fs::MetadataExt;
    let registry = Registry::start().await;
    for mode in MODES {
        let store = store_with(with(mode)).await;
        let prepared = store.prepare(&registry.serve("v1", &image(&[owned()]))).await.expect("a good image");
        let mounted = Mounted::new(&store.images.rootfs(&prepared.digest).await.expect("prepared"));
        let meta = std::fs::metadata(mounted.path("app/key")).expect("there");
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (65_535, 65_535, 0o600), "{mode:?}");
    }
}

#[tokio::test]
async fn a_root_file_system_of_an_earlier_version_is_made_anew() {
    use std::os::unix::fs::MetadataExt;
    let registry = Registry::start().await;
    for (mode, new, old) in [(RootfsMode::Erofs, "e2-", "e-"), (RootfsMode::Files, "f2-", "f-")] {
        let store = store_with(with(mode)).await;
        let prepared = store.prepare(&registry.serve("v1", &image(&[owned()]))).await.expect("a good image");
        // The state left by that version.
        let layers = store.dir.path().join("layers");
        let name = store.list("layers").into_iter().find(|name| name.starts_with(new)).expect("one of this version");
        let before = name.replacen(new, old, 1);
        std::fs::rename(layers.join(&name), layers.join(&before)).expect("renamed");
        let store = store.restart(with(mode)).await;
        let rootfs = store.images.rootfs(&prepared.digest).await.expect("made of its layers");
        assert_eq!(Mounted::new(&rootfs).read("app/key"), "secret");
        assert!(store.list("layers").contains(&name), "{mode:?}");
        let meta = std::fs::metadata(Mounted::new(&rootfs).path("app/key")).expect("there");
        assert_eq!(meta.uid(), 65_535);
        store.images.collect_garbage().await.expect("collected");
        assert!(!store.list("layers").contains(&before), "{mode:?}: the old one is not needed any more");
    }
}

#[tokio::test]
async fn the_variant_that_was_prepared_is_found_where_another_would_be_chosen_now() {
    let (store, registry) = (store().await, Registry::start().await);
    let (plain, better) = (image(&[layer(&[("plain", "1")])]), image(&[layer(&[("better", "2")])]));
    store.prepare(&registry.serve("plain", &plain)).await.expect("a good image");
    // The platform's registry has all of both.
    store.push(&better).await;
    let both = support::index(&[("linux", "amd64", &plain), ("linux", "amd64", &better)]);
    let mut both: serde_json::Value = serde_json::from_slice(&both).expect("JSON");
    both["manifests"][1]["platform"]["variant"] = "v2".into();
    let both = bytes::Bytes::from(both.to_string());
    store.images.content().put(&digest(&both), both.clone()).await.expect("room for it");
    let rootfs = store.images.rootfs(&digest(&both)).await.expect("one of them is prepared");
    assert_eq!(Mounted::new(&rootfs).list(""), ["plain"]);
}

#[tokio::test]
async fn plain_files_without_their_layers_stay_as_an_earlier_version_made_them() {
    let (store, registry) = (store_with(with(RootfsMode::Files)).await, Registry::start().await);
    let prepared = store.prepare(&registry.serve("v1", &image(&[owned()]))).await.expect("a good image");
    store.images.collect_garbage().await.expect("collected");
    let layers = store.dir.path().join("layers");
    let names = store.list("layers");
    let [name] = names.as_slice() else { panic!("{names:?}") };
    std::fs::rename(layers.join(name), layers.join(name.replacen("f2-", "f-", 1))).expect("renamed");
    let store = store.restart(with(RootfsMode::Files)).await;
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("as it was");
    assert_eq!(Mounted::new(&rootfs).read("app/key"), "secret");
    drop(rootfs);
    assert_eq!(store.images.collect_garbage().await.expect("collected").layers, 0, "it is needed");
}

#[tokio::test]
async fn a_layer_that_was_indexed_ahead_is_not_indexed_again() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = image(&stack());
    store.push(&image).await;
    for blob in image.blobs() {
        store.images.index_ahead(&digest(&blob));
    }
    // Four layers differ; the config is no layer.
    let indexed = async {
        while store.list("layers").len() < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), indexed).await.expect("they are indexed");
    let prepared = store.prepare(&registry.serve("v1", &image)).await.expect("a good image");
    assert_eq!(store.list("layers").len(), 5, "the root file system came");
    assert_eq!(Mounted::new(&store.images.rootfs(&prepared.digest).await.expect("prepared")).read("bin/alias"), "tool");
    store.assert_clean().await;
}
