//! Figures of the rounds, and their output.

use super::sample::Sample;
use crate::bench::median;

/// Values of all rounds.
#[derive(Default)]
pub struct Figures {
    /// `podman pull`.
    pub podman_s: Vec<f64>,
    /// `tar xzf` of the layers.
    pub tar_s: Vec<f64>,
    /// From `sampan deploy` until the function is active.
    pub sampan_s: Vec<f64>,
    /// Peak resident memory of the platform until then, in MB.
    pub peak_mb: Vec<f64>,
    /// The platform's INIT report line of the first start.
    pub cold_start: Option<String>,
    /// `sampan deploy` of the second image.
    pub second_s: Vec<f64>,
    /// Bytes transferred for the second image.
    pub second_bytes: Vec<f64>,
    /// Times of the platform's registry.
    pub own: Transfers,
    /// Times of docker-registry.
    pub peer: Transfers,
}

/// Times of one registry.
#[derive(Default)]
pub struct Transfers {
    /// Push of one blob with curl.
    pub blob_push_s: Vec<f64>,
    /// Pull of the blob.
    pub blob_pull_s: Vec<f64>,
    /// Push of the image with skopeo.
    pub image_push_s: Vec<f64>,
    /// Pull of the image.
    pub image_pull_s: Vec<f64>,
}

impl Figures {
    /// Prints medians and ratios.
    pub fn print(mut self, sample: &Sample, blob_bytes: u64) {
        let (podman, tar) = (median(&mut self.podman_s), median(&mut self.tar_s));
        let sampan = median(&mut self.sampan_s);
        println!("podman pull        {podman:7.2} s");
        println!("tar xzf of layers  {tar:7.2} s");
        println!("sampan deploy      {sampan:7.2} s until the function is active, fresh data directory");
        println!("sampan is {:.1}x faster than podman pull (goal >= 5)", podman / sampan);
        println!("sampan is {:.1}x faster than tar xzf (goal >= 3)", tar / sampan);
        println!("peak resident memory of sampan: {:.0} MB (goal <= 200)", median(&mut self.peak_mb));
        println!(
            "second image: {:.2} s, {:.1} MB transferred, of which {:.1} MB are its own layer",
            median(&mut self.second_s),
            median(&mut self.second_bytes) / 1e6,
            sample.second_own_bytes() / 1e6
        );
        match &self.cold_start {
            Some(line) => {
                println!("first start of an instance, with mount and overlay (goal for the two <= 1 ms): {line}")
            }
            None => println!("first start of an instance: the platform's log does not show it"),
        }
        let (blob, image) = (blob_bytes as f64, sample.bytes());
        compare("push a 1 GiB blob with curl", blob, &mut self.own.blob_push_s, &mut self.peer.blob_push_s);
        compare("pull it with curl", blob, &mut self.own.blob_pull_s, &mut self.peer.blob_pull_s);
        compare("push the image with skopeo", image, &mut self.own.image_push_s, &mut self.peer.image_push_s);
        compare("pull it with skopeo", image, &mut self.own.image_pull_s, &mut self.peer.image_pull_s);
    }
}

fn compare(what: &str, bytes: f64, own_s: &mut [f64], peer_s: &mut [f64]) {
    let (own, peer) = (median(own_s), median(peer_s));
    let rate = |seconds: f64| bytes / 1e6 / seconds;
    println!(
        "{what:28} sampan {:6.0} MB/s, docker-registry {:6.0} MB/s: {:.2}x (goal >= 1)",
        rate(own),
        rate(peer),
        peer / own
    );
}
