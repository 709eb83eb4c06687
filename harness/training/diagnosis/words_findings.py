"""Every finding in English and Korean, side by side: what it is called, and the sentence that its numbers go into."""

from __future__ import annotations

from harness.training.diagnosis.model import Code
from harness.training.diagnosis.texts import Both, Words
from harness.training.diagnosis.words_heldout import HELD_OUT

FINDINGS: dict[Code, Words] = {
    "no_data": Words(
        Both("Nothing to diagnose", "진단할 내용 없음"),
        Both("The log holds no loss and no evaluation.", "로그에 손실도 평가 결과도 없습니다."),
    ),
    "few_logs": Words(
        Both("Too few training losses", "학습 손실 기록 부족"),
        Both(
            "The log holds fewer training losses ({n}) than a curve needs ({needed}).",
            "로그에 학습 손실이 {n}개뿐이라 곡선을 읽기에 모자랍니다(최소 {needed}개).",
        ),
    ),
    # D0
    "rows_lost": Words(
        Both("Rows lost to the length limit", "길이 제한으로 잃은 행"),
        Both(
            "{lost} of {rows} rows ({lost_share}) were dropped or cut because they are longer than the limit. A row that is cut loses its end, and the end is the answer.",
            "전체 {rows}행 가운데 {lost}행({lost_share})이 길이 제한을 넘어 버려지거나 잘렸습니다. 잘린 행은 끝부분, 곧 학습할 답을 잃습니다.",
        ),
    ),
    "no_supervised_tokens": Words(
        Both("No token bears a loss", "손실이 걸린 토큰 없음"),
        Both(
            "Every label is masked, so nothing can be learnt.",
            "모든 라벨이 마스킹되어 있어 아무것도 학습되지 않습니다.",
        ),
    ),
    "few_supervised_tokens": Words(
        Both("Hardly any token bears a loss", "손실이 걸린 토큰이 너무 적음"),
        Both(
            "Only {supervised_share} of the tokens bear a loss; the rest of the computing goes into prompts.",
            "손실이 걸린 토큰이 전체의 {supervised_share}뿐입니다. 나머지 연산은 모두 프롬프트를 읽는 데 쓰입니다.",
        ),
    ),
    "no_end_of_turn": Words(
        Both("The end of the turn is not learnt", "턴 종료 토큰이 학습되지 않음"),
        Both(
            "The end-of-turn token is not among the labels, so the model will not learn to stop.",
            "턴 종료 토큰이 라벨에 없어서 모델이 멈추는 법을 배우지 못합니다.",
        ),
    ),
    "leaked_rows": Words(
        Both("Validation rows are in the training data", "검증 행이 학습 데이터에 있음"),
        Both(
            "{rows} validation rows also stand in the training data, so the validation loss shows memory.",
            "검증 행 {rows}개가 학습 데이터에도 들어 있습니다. 따라서 검증 손실은 일반화가 아니라 암기를 보여 줍니다.",
        ),
    ),
    "few_rows": Words(
        Both("Few training rows", "학습 행이 적음"),
        Both(
            "There are {rows} training rows; {usual} or more are usual.",
            "학습 행이 {rows}개입니다. 보통 {usual}개 이상을 씁니다.",
        ),
    ),
    "small_validation": Words(
        Both("Few validation rows", "검증 행이 적음"),
        Both(
            "The validation loss rests on {rows} rows. With fewer than {usual} it says how these rows fare, not how new ones would.",
            "검증 손실을 {rows}개 행으로 쟀습니다. {usual}개보다 적으면 새로운 입력이 아니라 그 행들의 사정만 알 수 있습니다.",
        ),
    ),
    # D1
    "nonfinite_loss": Words(
        Both("The loss is not a number", "손실이 숫자가 아님 (NaN/무한대)"),
        Both(
            "{n} of {of} logged losses are NaN or infinite, first at {first_at}. What was trained after that is lost.",
            "기록된 손실 {of}개 중 {n}개가 NaN 또는 무한대이며, {first_at}에서 처음 나타났습니다. 그 뒤의 학습은 쓸 수 없습니다.",
        ),
    ),
    "nonfinite_eval": Words(
        Both("An evaluation loss is not a number", "평가 손실이 숫자가 아님 (NaN/무한대)"),
        Both(
            "{n} of {of} values of {key} are NaN or infinite, first at {first_at}: a row without a supervised token, or an overflow in half precision.",
            "{key} 값 {of}개 중 {n}개가 NaN 또는 무한대이며, {first_at}에서 처음 나타났습니다. 라벨이 모두 마스킹된 행이 있거나 반정밀도에서 오버플로가 난 것입니다.",
        ),
    ),
    "nonfinite_grad": Words(
        Both("The gradient norm is not a number", "그래디언트 노름이 숫자가 아님"),
        Both(
            "{n} of {of} logged gradient norms are NaN or infinite, first at {first_at}. Such steps change nothing or ruin the weights.",
            "기록된 그래디언트 노름 {of}개 중 {n}개가 NaN 또는 무한대이며, {first_at}에서 처음 나타났습니다. 이런 스텝은 헛돌거나 가중치를 망가뜨립니다.",
        ),
    ),
    "skipped_steps": Words(
        Both("A few steps were skipped", "건너뛴 스텝이 조금 있음"),
        Both(
            "{n} of {of} gradient norms are not finite while the loss stays finite: the fp16 loss scaler skips such steps. This is normal.",
            "손실은 정상인데 그래디언트 노름 {of}개 중 {n}개만 유한하지 않습니다. fp16 손실 스케일러가 그런 스텝을 건너뛴 것으로, 정상입니다.",
        ),
    ),
    "masked_labels": Words(
        Both("The loss is zero: the labels are masked", "손실이 0: 라벨이 마스킹됨"),
        Both(
            "{n} of {of} values of {key} are zero and the first ones are about {opening}. No model starts at zero: no label reaches the loss.",
            "{key} 값 {of}개 중 {n}개가 0이고 시작 값이 약 {opening}입니다. 처음부터 0인 모델은 없습니다. 손실에 닿는 라벨이 없는 것입니다.",
        ),
    ),
    "zero_collapse": Words(
        Both("The loss has dropped to exactly zero", "손실이 갑자기 정확히 0이 됨"),
        Both(
            "{key} was {before} and is exactly 0 from {from_at} on ({n} values). A loss that falls never reaches 0 in one step: NaN was replaced by 0, or no label reaches the loss any more.",
            "{key} 값이 {before}에서 바로 0이 되어 {from_at}부터 계속 정확히 0입니다({n}개). 학습으로 내려가는 손실은 한 번에 0이 되지 않습니다. NaN이 0으로 바뀌었거나 손실에 닿는 라벨이 없어진 것입니다.",
        ),
    ),
    "near_uniform": Words(
        Both("The model guesses", "모델이 찍고 있음"),
        Both(
            "{key} starts at {head}; guessing among {vocabulary} tokens gives {guessing}. The weights, the tokenizer and the chat template do not belong together, or the loss was summed over accumulation steps.",
            "{key} 값이 {head}에서 시작합니다. 어휘 {vocabulary}개에서 아무렇게나 찍으면 {guessing}입니다. 가중치, 토크나이저, 챗 템플릿이 서로 맞지 않거나 누적 스텝의 손실이 평균 대신 합산된 것입니다.",
        ),
    ),
    "zero_gradients": Words(
        Both("The gradients are zero", "그래디언트가 0임"),
        Both(
            "{n} of {of} logged gradient norms ({zero_share}) are exactly 0: nothing is being trained in those steps.",
            "기록된 그래디언트 노름 {of}개 중 {n}개({zero_share})가 정확히 0입니다. 그 스텝에서는 아무것도 학습되지 않습니다.",
        ),
    ),
    "lr_zero": Words(
        Both("The learning rate is zero", "학습률이 0임"),
        Both("All {n} logged learning rates are 0.", "기록된 학습률 {n}개가 모두 0입니다."),
    ),
    # D2, D3, D5
    "diverged": Words(
        Both("The training loss diverges", "학습 손실이 발산함"),
        Both(
            "The training loss went from {head} to {tail} ({rise}); it rises from {from_at} on.",
            "학습 손실이 {head}에서 {tail}까지 올랐습니다({rise}). {from_at}부터 상승합니다.",
        ),
    ),
    "lost_progress": Words(
        Both("What was learnt is being lost", "배운 것을 잃고 있음"),
        Both(
            "The smoothed training loss was {best} at {best_at} and is now {last}.",
            "평활한 학습 손실이 {best_at}에서 {best}까지 내려갔다가 지금은 {last}입니다.",
        ),
    ),
    "ends_high": Words(
        Both("The loss jumps at the end and does not come back", "끝에서 손실이 튀어 돌아오지 않음"),
        Both(
            "Before {from_at} the training loss was {before}; from there to the end of the log ({n} logs) it is far above, at last {last}. Whether it comes back cannot be seen.",
            "{from_at} 전에는 학습 손실이 {before} 수준인데, 그 뒤 로그가 끝날 때까지 기록 {n}개가 훨씬 높고 마지막은 {last}입니다. 다시 내려올지는 알 수 없습니다.",
        ),
    ),
    "spikes": Words(
        Both("The loss jumps", "손실이 튐"),
        Both(
            "{n} of {of} logs lie far above their neighbours (highest {highest}), first at {first_at}.",
            "기록 {of}개 중 {n}개가 주변보다 크게 튀었습니다(최고 {highest}). 처음 튄 곳은 {first_at}입니다.",
        ),
    ),
    "periodic_spikes": Words(
        Both("The loss jumps at even intervals", "손실이 일정한 간격으로 튐"),
        Both(
            "{n} jumps lie {gap} apart, again and again. That comes from the order of the rows or from epoch boundaries, not from the learning rate.",
            "{n}번의 급등이 {gap} 간격으로 되풀이됩니다. 학습률이 아니라 데이터 순서나 에폭 경계 때문입니다.",
        ),
    ),
    "grad_spikes": Words(
        Both("The gradient norm jumps", "그래디언트 노름이 튐"),
        Both(
            "{n} of {of} gradient norms are more than ten times their neighbours; {both} of them come with a jump of the loss. Clipping absorbs jumps that leave the loss alone.",
            "그래디언트 노름 {of}개 중 {n}개가 주변의 10배를 넘고, 그중 {both}개는 손실 급등과 겹칩니다. 손실이 그대로라면 클리핑이 흡수한 것입니다.",
        ),
    ),
    "lr_too_high": Words(
        Both("The learning rate was too high for a while", "한동안 학습률이 너무 높았음"),
        Both(
            "The training loss rose from {lowest} to {top} ({rise}) after {from_at} and came back later.",
            "{from_at} 이후 학습 손실이 {lowest}에서 {top}까지 올랐다가({rise}) 나중에 내려왔습니다.",
        ),
    ),
    "eval_above_start": Words(
        Both(
            "Held-out loss never got better than before training",
            "검증 손실이 학습 전보다 좋아진 적이 없음",
        ),
        Both(
            "Before training it was {base}; the lowest later value is {lowest} ({rise}).",
            "학습 전에는 {base}, 그 뒤의 최저값은 {lowest}입니다({rise}).",
        ),
    ),
    # D4, D7, D8
    "not_learning": Words(
        Both("The model does not learn", "학습이 되지 않음"),
        Both(
            "Over {n} logs the training loss went from {head} to {tail}, a fall of {drop}.",
            "기록 {n}개 동안 학습 손실이 {head}에서 {tail}까지, {drop} 내려갔을 뿐입니다.",
        ),
    ),
    "underfit": Words(
        Both("Underfitting: slow, and still falling", "과소적합: 느리게 계속 내려가는 중"),
        Both(
            "{key} fell by {drop} only ({first} to {last}) and was still falling at the end; a quarter more of the run would give about {gain_share}.",
            "{key} 값이 {first}에서 {last}까지 {drop}만 내려갔고 끝까지 내려가는 중입니다. 지금의 4분의 1만큼 더 학습하면 약 {gain_share} 더 내려갑니다.",
        ),
    ),
    "still_improving": Words(
        Both("Still improving at the end", "끝까지 좋아지는 중"),
        Both(
            "{key} fell from {first} to {last} and was still falling when the log ends; at that rate a quarter more of the run would give about {gain_share}.",
            "{key} 값이 {first}에서 {last}까지 내려갔고 로그가 끝날 때도 내려가는 중입니다. 이 속도라면 지금의 4분의 1만큼 더 학습할 때 약 {gain_share} 더 내려갑니다.",
        ),
    ),
    "plateau": Words(
        Both("The same result was there earlier", "같은 결과를 더 일찍 얻을 수 있었음"),
        Both(
            "From {from_at} on {key} stays within {band} of its best; the last {saved_share} of the run changed nothing.",
            "{from_at}부터 {key} 값이 최저값에서 {band} 안에 머뭅니다. 마지막 {saved_share} 구간은 바꾼 것이 없습니다.",
        ),
    ),
    # D6, D9
    **HELD_OUT,
    "epoch_staircase": Words(
        Both("The loss falls in steps at epoch boundaries", "손실이 에폭 경계에서 계단처럼 떨어짐"),
        Both(
            "{boundary_share} of the fall after the first epoch happens at the {boundaries} epoch boundaries, where nothing changes but that rows come again: they are being remembered.",
            "첫 에폭 이후 하락의 {boundary_share}가 에폭 경계 {boundaries}곳에서 일어났습니다. 경계에서는 같은 행이 다시 나올 뿐이므로 그 행을 외우고 있다는 뜻입니다.",
        ),
    ),
    "near_zero_train": Words(
        Both("The training loss is near zero", "학습 손실이 거의 0임"),
        Both(
            "It fell from {head} to {tail} and is near its end from {from_at} on. Alone this proves nothing: tool calls in JSON end there in healthy runs too.",
            "{head}에서 {tail}까지 내려갔고 {from_at}부터는 거의 바닥입니다. 이것만으로는 알 수 있는 것이 없습니다. JSON 도구 호출은 정상 학습에서도 이만큼 내려갑니다.",
        ),
    ),
    "many_epochs": Words(
        Both("Every row was seen many times", "같은 행을 여러 번 학습함"),
        Both(
            "{epochs} epochs over {rows} rows; beyond {usual} epochs, few rows are mostly memorised.",
            "{rows}개 행을 {epochs}에폭 학습했습니다. 행이 적을 때 {usual}에폭을 넘기면 대부분 암기가 됩니다.",
        ),
    ),
    # D10
    "lr_zero_tail": Words(
        Both("The learning rate is zero at the end", "끝부분의 학습률이 0임"),
        Both(
            "The last {n} of {of} logs ({tail_share}) have practically no learning rate: nothing is learnt there.",
            "마지막 기록 {n}개(전체 {of}개의 {tail_share})에서 학습률이 사실상 0이라 배우는 것이 없습니다.",
        ),
    ),
    "long_warmup": Words(
        Both("Long warm-up", "웜업이 김"),
        Both(
            "The learning rate rises until {until_at}, {warmup_share} of the run; 3 to 10 % are usual.",
            "학습률이 {until_at}까지 오르며 이는 전체의 {warmup_share}입니다. 보통 3~10 %면 됩니다.",
        ),
    ),
    "run_incomplete": Words(
        Both("The run did not reach its end", "학습이 끝까지 가지 않음"),
        Both(
            "The log ends at {end_at}, {of_plan}.",
            "로그가 {end_at}에서 끝나며, {of_plan}.",
        ),
    ),
    # D11
    "never_stops": Words(
        Both("Replies do not stop", "답변이 끝나지 않음"),
        Both(
            "{metric}: {bad_share} of the replies ran into the length limit or had no end-of-turn token (at first {first_share}).",
            "{metric}: 답변의 {bad_share}가 길이 제한에 걸리거나 턴 종료 토큰 없이 끝났습니다(처음에는 {first_share}).",
        ),
    ),
    "repetition": Words(
        Both("Replies repeat themselves", "답변이 같은 말을 되풀이함"),
        Both(
            "{metric}: {bad_share} of the replies (at first {first_share}).",
            "{metric}: 답변의 {bad_share} (처음에는 {first_share}).",
        ),
    ),
    "empty_replies": Words(
        Both("Empty replies", "빈 답변"),
        Both(
            "{metric}: {bad_share} of the replies (at first {first_share}).",
            "{metric}: 답변의 {bad_share} (처음에는 {first_share}).",
        ),
    ),
    "prompt_echo": Words(
        Both("Replies repeat the prompt", "답변이 프롬프트를 그대로 따라 함"),
        Both(
            "{metric}: {bad_share} of the replies (at first {first_share}).",
            "{metric}: 답변의 {bad_share} (처음에는 {first_share}).",
        ),
    ),
    "broken_json": Words(
        Both("Tool calls that are not valid JSON", "JSON이 깨진 도구 호출"),
        Both(
            "{metric}: {bad_share} are not valid (at first {first_share}).",
            "{metric}: {bad_share}가 올바르지 않습니다(처음에는 {first_share}).",
        ),
    ),
    "invented_calls": Words(
        Both("Invented calls", "지어낸 호출"),
        Both(
            "{metric}: {bad_share} of the samples (at first {first_share}).",
            "{metric}: 샘플의 {bad_share} (처음에는 {first_share}).",
        ),
    ),
}
