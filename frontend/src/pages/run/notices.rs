//! Notices from the records of a run.

use leptos::prelude::*;
use shared::record::{Metrics, Notice, NoticeKind};

use crate::load::told;

#[component]
pub fn Notices(metrics: Memo<Metrics>) -> impl IntoView {
    let notices = Memo::new(move |_| metrics.with(Metrics::all_notices));
    let shown = |notice: Notice| {
        let (class, role) = match notice.kind {
            NoticeKind::CatastrophicOverfitting | NoticeKind::TrainingBrokeDown | NoticeKind::MaskedGradients => {
                ("notice notice-warning", "alert")
            }
            NoticeKind::CasFell | NoticeKind::Resumed | NoticeKind::Imported | NoticeKind::PassedOver | NoticeKind::LeftOut => {
                ("notice", "note")
            }
        };
        view! {
            <div class=class role=role>
                <h2 class="notice-title">{title(&notice)}</h2>
                <p class="notice-text">{told(&notice.message)}</p>
            </div>
        }
    };
    move || notices.get().into_iter().map(shown).collect_view()
}

fn title(notice: &Notice) -> String {
    match (notice.kind, notice.epoch) {
        (NoticeKind::CatastrophicOverfitting, Some(epoch)) => format!("Catastrophic overfitting in epoch {epoch}"),
        (NoticeKind::CatastrophicOverfitting, None) => "Catastrophic overfitting".to_owned(),
        (NoticeKind::TrainingBrokeDown, Some(epoch)) => format!("Training broke down in epoch {epoch}"),
        (NoticeKind::TrainingBrokeDown, None) => "Training broke down".to_owned(),
        (NoticeKind::CasFell, Some(epoch)) => format!("CAS has fallen since epoch {epoch} while the fit to the training images rose"),
        (NoticeKind::CasFell, None) => "CAS has fallen".to_owned(),
        (NoticeKind::Resumed, Some(epoch)) if epoch > 0 => format!("Resumed after epoch {epoch}"),
        (NoticeKind::Resumed, _) => "Resumed".to_owned(),
        (NoticeKind::Imported, _) => "What was found".to_owned(),
        (NoticeKind::MaskedGradients, _) => "Gradients are masked".to_owned(),
        (NoticeKind::PassedOver, _) => "Not everything in the data folder was read".to_owned(),
        (NoticeKind::LeftOut, _) => "Not everything in the records was read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_named_with_its_epoch() {
        let check = |kind, epoch, expected: &str| assert_eq!(title(&Notice { kind, epoch, message: String::new() }), expected);
        check(NoticeKind::CatastrophicOverfitting, Some(7), "Catastrophic overfitting in epoch 7");
        check(NoticeKind::TrainingBrokeDown, Some(3), "Training broke down in epoch 3");
        check(NoticeKind::CasFell, Some(108), "CAS has fallen since epoch 108 while the fit to the training images rose");
        check(NoticeKind::Resumed, Some(12), "Resumed after epoch 12");
        check(NoticeKind::Resumed, Some(0), "Resumed");
        check(NoticeKind::Imported, None, "What was found");
        check(NoticeKind::PassedOver, None, "Not everything in the data folder was read");
    }
}
