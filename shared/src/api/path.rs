//! Addresses of the API.
//!
//! They do not begin with a slash: a page asks relative to its base, so that the path prefix of a proxy stays in
//! front. Queries are added by the caller.

use crate::dataset::Dataset;
use crate::id::{AttributionId, CheckpointId, RunId, ShareId, ShareToken, SweepId};

/// Makes a function of each path in the OpenAPI document, with the types of its parameters.
macro_rules! paths {
    ($($name:ident($($parameter:ident: $type:ty)?) $path:literal)*) => {
        $(pub fn $name($($parameter: $type)?) -> String {
            format!($path)
        })*

        #[cfg(test)]
        const PATHS: &[&str] = &[$($path),*];
    };
}

paths! {
    attribution(id: &AttributionId) "api/attributions/{id}"
    attribution_context(id: &AttributionId) "api/attributions/{id}/context"
    changes() "api/changes"
    checkpoints() "api/checkpoints"
    checkpoint_inspection() "api/checkpoints/inspect"
    checkpoint_file(id: &CheckpointId) "api/checkpoints/{id}/file"
    comparisons() "api/comparisons"
    datasets() "api/datasets"
    dataset_download(id: Dataset) "api/datasets/{id}/download"
    dataset_folder(id: Dataset) "api/datasets/{id}/folder"
    dataset_summary(id: Dataset) "api/datasets/{id}/summary"
    estimate() "api/estimate"
    health() "api/health"
    lanes() "api/lanes"
    lanes_read() "api/lanes/read"
    lane_try(name: &str) "api/lanes/{name}/try"
    pairs() "api/pairs"
    presets() "api/presets"
    queue() "api/queue"
    run_actions() "api/run-actions"
    run_rows() "api/run-rows"
    runs() "api/runs"
    run(id: &RunId) "api/runs/{id}"
    run_cancel(id: &RunId) "api/runs/{id}/cancel"
    run_cells(id: &RunId) "api/runs/{id}/cells"
    run_checkpoints(id: &RunId) "api/runs/{id}/checkpoints"
    run_config_toml(id: &RunId) "api/runs/{id}/config.toml"
    run_curves(id: &RunId) "api/runs/{id}/curves"
    run_eps_curve(id: &RunId) "api/runs/{id}/eps-curve"
    run_evaluation(id: &RunId) "api/runs/{id}/evaluation"
    run_interference(id: &RunId) "api/runs/{id}/interference"
    run_log(id: &RunId) "api/runs/{id}/log"
    run_metrics(id: &RunId) "api/runs/{id}/metrics"
    run_disk(id: &RunId) "api/runs/{id}/disk"
    run_move(id: &RunId) "api/runs/{id}/move"
    run_pair(id: &RunId) "api/runs/{id}/pair"
    run_pause(id: &RunId) "api/runs/{id}/pause"
    run_records(id: &RunId) "api/runs/{id}/records"
    run_resume(id: &RunId) "api/runs/{id}/resume"
    run_saliency(id: &RunId) "api/runs/{id}/saliency"
    run_transfer(id: &RunId) "api/runs/{id}/transfer"
    shares() "api/shares"
    own_share(share: ShareId) "api/shares/{share}"
    share(share: &ShareToken) "api/shares/{share}"
    share_link(share: ShareId) "api/shares/{share}/link"
    share_preview(share: &ShareToken) "api/shares/{share}/preview.png"
    sweeps() "api/sweeps"
    sweep(id: &SweepId) "api/sweeps/{id}"
    sweep_chart(id: &SweepId) "api/sweeps/{id}/chart"
    system() "api/system"
    theory() "api/theory"
    trash() "api/trash"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{Exported, Format};

    #[test]
    fn every_path_is_in_the_openapi_document() {
        let document: serde_json::Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let described = document["paths"].as_object().unwrap();
        let metrics = Format::of(Exported::Metrics).map(|format| format!("api/runs/{{id}}/metrics.{format}"));
        for path in PATHS.iter().map(ToString::to_string).chain(metrics) {
            assert!(described.contains_key(&format!("/{path}")), "{path} is not in docs/openapi.json");
        }
    }

    #[test]
    fn parameters_stand_in_their_places() {
        assert_eq!(run_cancel(&"at-1".parse().unwrap()), "api/runs/at-1/cancel");
        assert_eq!(checkpoint_file(&"at-1.e12".parse().unwrap()), "api/checkpoints/at-1.e12/file");
        assert_eq!(dataset_folder(Dataset::TinyImagenet), "api/datasets/tiny_imagenet/folder");
    }
}
