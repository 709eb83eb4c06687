"""The findings on held-out rows (D6, D9) in English and Korean, side by side."""

from __future__ import annotations

from harness.training.diagnosis.model import Code
from harness.training.diagnosis.texts import Both, Words

HELD_OUT: dict[Code, Words] = {
    "no_eval": Words(
        Both("Nothing was held out", "검증 데이터 없음"),
        Both(
            "The log holds no evaluation on held-out rows. A training loss alone cannot tell learning from memorising.",
            "따로 떼어 둔 데이터로 한 평가가 로그에 없습니다. 학습 손실만으로는 학습과 암기를 구별할 수 없습니다.",
        ),
    ),
    "too_few_evals": Words(
        Both("Too few evaluations", "평가 횟수 부족"),
        Both(
            "There are {n}; noise can be told from change with {needed}, a trend with {for_trend}.",
            "평가가 {n}번뿐입니다. 잡음과 변화를 구별하려면 {needed}번, 추세를 보려면 {for_trend}번이 필요합니다.",
        ),
    ),
    "noisy_eval": Words(
        Both("The evaluations are too noisy", "평가 값의 잡음이 너무 큼"),
        Both(
            "From one evaluation to the next {key} moves by {noise_share} without a direction; no verdict can rest on it.",
            "{key} 값이 평가할 때마다 방향 없이 {noise_share}씩 흔들려서 판정의 근거로 쓸 수 없습니다.",
        ),
    ),
    "overfit": Words(
        Both("Overfitting", "과적합"),
        Both(
            "{key} was lowest at {best_at} ({best}) and ended at {last} ({rise}) at {last_at}; noise explains {band} at most.",
            "{key} 값이 {best_at}에서 {best}까지 내려간 뒤 {last_at}에는 {last}까지 올랐습니다({rise}). 잡음으로 설명되는 폭은 최대 {band}입니다.",
        ),
    ),
    "memorising": Words(
        Both("The training rows are being memorised", "학습 데이터를 외우고 있음"),
        Both(
            "{probe} keeps falling ({first} to {last}, p = {p}) while the held-out loss rises; the gap is {gap_share} of the held-out loss.",
            "검증 손실이 오르는 동안 {probe} 값은 계속 내려갑니다({first}에서 {last}까지, p = {p}). 둘의 차이가 검증 손실의 {gap_share}입니다.",
        ),
    ),
    "no_transfer": Words(
        Both("What is learnt does not carry over", "배운 것이 검증 데이터로 이어지지 않음"),
        Both(
            "{key} was {first} at {first_at} and has never fallen below that by more than noise (lowest {best}; {band} counts as equal), while {rows} fell from {head} to {tail} ({drop}): what was learnt since then is of the training rows alone.",
            "{key} 값은 {first_at}에 {first}에서 시작해 잡음 이상으로 내려간 적이 없는데(최저 {best}, {band} 이하의 차이는 같은 것으로 봄), {rows} 값은 {head}에서 {tail}까지 {drop} 내려갔습니다. 그동안 배운 것은 학습 데이터에만 통합니다.",
        ),
    ),
    "no_gain": Words(
        Both("No gain since before training", "학습 전보다 나아지지 않음"),
        Both(
            "Before training {key} was {first}; at its best it is {best}. Differences up to {band} count as equal.",
            "학습 전 {key} 값은 {first}, 가장 좋은 값은 {best}입니다. {band} 이하의 차이는 같은 것으로 봅니다.",
        ),
    ),
    "gain_unseen": Words(
        Both("No gain between the evaluations", "평가 사이에 나아진 것이 없음"),
        Both(
            "{key} was {first} at the first evaluation ({first_at}) and is {best} at its best; differences up to {band} count as equal. Whether there was a gain before cannot be seen.",
            "{key} 값은 첫 평가({first_at})에서 {first}, 가장 좋은 값은 {best}입니다. {band} 이하의 차이는 같은 것으로 봅니다. 그 전에 좋아졌는지는 알 수 없습니다.",
        ),
    ),
    "metric_at_floor": Words(
        Both("The task metric is at its worst throughout", "과업 지표가 내내 최저임"),
        Both(
            "{metric} is {value} at all {n} evaluations: the task is never done, or the metric does not see that it is.",
            "평가 {n}번 모두 {metric} 값이 {value}입니다. 과업을 한 번도 해내지 못했거나, 지표가 맞는 답을 알아보지 못하는 것입니다.",
        ),
    ),
    "calibration_drift": Words(
        Both("Overconfident, not worse at the task", "과업 성능은 그대로, 확신만 지나침"),
        Both(
            "{key} rose from {best} to {last} ({rise}), but {metric} is {value}, within one standard error ({error}) of its best: the model grows overconfident, its answers are as good.",
            "{key} 값은 {best}에서 {last}까지 올랐지만({rise}) {metric} 값은 {value}로 최고값과 표준오차({error}) 이내입니다. 모델의 확신이 지나칠 뿐 답은 나빠지지 않았습니다.",
        ),
    ),
    "task_decline": Words(
        Both("The task metric has fallen", "과업 지표가 나빠짐"),
        Both(
            "{metric} was {best} at {best_at} and is now {last}; one standard error is {error}.",
            "{metric} 값이 {best_at}에서 {best}였는데 지금은 {last}입니다. 표준오차는 {error}입니다.",
        ),
    ),
    "side_eval_rises": Words(
        Both("Another held-out set gets worse", "다른 검증 세트가 나빠짐"),
        Both(
            "{key} was lowest at {best_at} ({best}) and ended at {last} ({rise}): something the model could do is being forgotten.",
            "{key} 값이 {best_at}에서 최저({best})였다가 {last}까지 올랐습니다({rise}). 모델이 하던 것을 잊고 있습니다.",
        ),
    ),
    "final_not_best": Words(
        Both(
            "The last evaluation is not the lowest, within noise",
            "마지막 평가가 최저는 아니지만 잡음 범위 안",
        ),
        Both(
            "{key} was {best} at {best_at} and is {last} at the end; differences up to {band} count as equal.",
            "{key} 값은 {best_at}에서 {best}, 마지막에는 {last}입니다. {band} 이하의 차이는 같은 것으로 봅니다.",
        ),
    ),
    "best_not_saved": Words(
        Both("The best checkpoint was not kept", "가장 좋은 체크포인트가 남아 있지 않음"),
        Both(
            "{key} was best at {best_at} ({best}), where no checkpoint lies.",
            "{key} 값이 {best_at}에서 가장 좋았지만({best}) 그 체크포인트가 없습니다.",
        ),
    ),
    "val_below_train": Words(
        Both("Held-out rows are easier than training rows", "검증 행이 학습 행보다 쉬움"),
        Both(
            "At all {n} evaluations the held-out loss is at most {highest} times the train probe's (median {ratio}). Held-out rows should be as hard: look for copies and for a split that is not random.",
            "평가 {n}번 모두 검증 손실이 학습 표본 손실의 {highest}배 이하입니다(중앙값 {ratio}배). 검증 행도 똑같이 어려워야 합니다. 복사된 행이나 치우친 분할이 있는지 보세요.",
        ),
    ),
    "worse_unquantised": Words(
        Both("Worse over the unquantised base", "양자화하지 않은 베이스에서는 더 나쁨"),
        Both(
            "{rows} held-out rows have a loss of {quantised} over the 4-bit base, and of {unquantised} ({rise}) over the base's own weights: the adapter also learnt to mend what quantisation broke. `harness merge` takes the own weights; servers and `harness sweep` do unless told otherwise.",
            "검증 행 {rows}개의 손실이 4비트 베이스에서는 {quantised}, 원래 가중치의 베이스에서는 {unquantised}입니다({rise}). 어댑터가 양자화로 생긴 오차까지 함께 배웠기 때문입니다. `harness merge`는 원래 가중치를 쓰고, 서버와 `harness sweep`도 따로 지정하지 않으면 그렇습니다.",
        ),
    ),
}
