"""Verdicts, advice, notes and setting names in English and Korean, side by side."""

from __future__ import annotations

from harness.training.diagnosis.model import Confidence, Setting, Severity, Verdict
from harness.training.diagnosis.texts import Both

VERDICTS: dict[Verdict, tuple[Both, Both]] = {
    "healthy": (
        Both("healthy", "정상"),
        Both(
            "The held-out rows gained with training and kept the gain.",
            "검증 데이터의 성적이 학습과 함께 좋아졌고 그대로 유지됩니다.",
        ),
    ),
    "overfit": (
        Both("overfit", "과적합"),
        Both(
            "The held-out rows got worse while training went on.",
            "학습이 이어지는 동안 검증 데이터의 성적이 나빠졌습니다.",
        ),
    ),
    "memorising": (
        Both("memorising", "암기"),
        Both(
            "The training rows are learnt by heart while the held-out rows gain nothing or get worse.",
            "학습 데이터만 외우고 있고 검증 데이터의 성적은 좋아지지 않거나 나빠졌습니다.",
        ),
    ),
    "underfit": (
        Both("underfit", "과소적합"),
        Both("Too little was learnt.", "배운 것이 너무 적습니다."),
    ),
    "diverged": (
        Both("diverged", "발산"),
        Both("The training loss rose instead of falling.", "학습 손실이 내려가지 않고 올랐습니다."),
    ),
    "broken": (
        Both("broken", "고장"),
        Both(
            "The numbers of this run are wrong; nothing else can be read from them.",
            "이 학습의 수치가 잘못되어 있어 다른 것은 읽을 수 없습니다.",
        ),
    ),
    "flawed": (
        Both("flawed", "결함"),
        Both(
            "A critical finding makes this adapter unfit for use as it is, or worse than what was there before training, whatever the curves say.",
            "곡선이 어떻든 심각한 문제가 있어, 이 어댑터는 이대로 쓸 수 없거나 학습 전보다 못합니다.",
        ),
    ),
    "no_eval": (
        Both("no evaluation", "평가 없음"),
        Both(
            "Nothing can be said of new inputs: no held-out rows were evaluated.",
            "검증 데이터로 평가하지 않아 새로운 입력에 대해서는 아무것도 말할 수 없습니다.",
        ),
    ),
    "too_few_evals": (
        Both("too few evaluations", "평가 부족"),
        Both(
            "No sign of trouble, but there are too few evaluations to be sure.",
            "문제의 징후는 없지만 확신하기에는 평가 횟수가 모자랍니다.",
        ),
    ),
    "inconclusive": (
        Both("inconclusive", "판정 불가"),
        Both("The log does not support a verdict.", "이 로그로는 판정할 수 없습니다."),
    ),
}

SEVERITIES: dict[Severity, Both] = {
    "critical": Both("critical", "심각"),
    "warning": Both("warning", "경고"),
    "info": Both("info", "참고"),
}

CONFIDENCES: dict[Confidence, Both] = {
    "high": Both("high", "높음"),
    "moderate": Both("moderate", "보통"),
    "low": Both("low", "낮음"),
}

ADVICE: dict[str, Both] = {
    "set": Both("Set {setting} to {value}.", "{setting} 값을 {value_ro} 바꾸세요."),
    "divide": Both("Divide {setting} by {value}.", "{setting} 값을 {value}분의 1로 줄이세요."),
    "multiply": Both("Multiply {setting} by {value}.", "{setting} 값을 {value}배로 늘리세요."),
    "raise": Both("Raise {setting}.", "{setting} 값을 늘리세요."),
    "use_checkpoint": Both("Use checkpoint-{value}.", "checkpoint-{value} 체크포인트를 쓰세요."),
    "use_before": Both("Use a checkpoint from before {place}.", "{place} 이전의 체크포인트를 쓰세요."),
    "stop_at": Both(
        "Next time stop there: {setting}: {value}.", "다음에는 거기서 멈추세요. {setting}: {value}"
    ),
    "stop_early": Both(
        "Let the run stop itself after {value} evaluations without progress: {setting}: {value}.",
        "평가가 {value}번 연달아 나아지지 않으면 스스로 멈추게 하세요. {setting}: {value}",
    ),
    "regularise": Both(
        "Train on more rows or for fewer epochs; {setting}: {value} helps a little.",
        "학습 행을 늘리거나 에폭을 줄이세요. {setting}: {value} 설정도 조금 도움이 됩니다.",
    ),
    "add_probe": Both(
        "Evaluate a fixed slice of the training rows as well ({setting}: {value}); it shows whether rows are memorised.",
        "학습 데이터 일부도 같은 방식으로 평가하세요({setting}: {value}). 외우고 있는지 알 수 있습니다.",
    ),
    "add_validation": Both(
        "Hold out at least 50 rows that are never trained on: {setting}.",
        "학습에 쓰지 않을 행을 50개 이상 떼어 두세요: {setting}.",
    ),
    "evaluate": Both(
        "Evaluate about ten times in a run: {setting}: {value}.",
        "한 학습에 열 번쯤 평가하세요. {setting}: {value}",
    ),
    "evaluate_at_start": Both(
        "Evaluate once before training as well, so that a gain is measured from there: {setting}: {value}.",
        "학습 전에도 한 번 평가해 학습 전과 견줄 수 있게 하세요. {setting}: {value}",
    ),
    "read_replies": Both(
        "Read some replies: is the task failed, or does the metric not recognise right answers?",
        "답변을 몇 개 읽어 보세요. 정말로 틀린 것인지, 지표가 맞는 답을 알아보지 못하는 것인지 확인하세요.",
    ),
    "evaluate_earlier": Both(
        "The first evaluation is the best one, so the true best may lie before it: {setting}: {value}.",
        "첫 평가가 가장 좋으므로 실제 최저점은 그보다 앞일 수 있습니다. 더 일찍 평가하세요. {setting}: {value}",
    ),
    "more_validation": Both(
        "Hold out {value} rows or more: {setting}.", "검증 행을 {value}개 이상으로 늘리세요: {setting}."
    ),
    "more_rows": Both(
        "More different rows help most; see {setting}.",
        "서로 다른 행을 늘리는 것이 가장 효과적입니다: {setting}.",
    ),
    "fewer_epochs": Both(
        "Fewer epochs ({setting}) are enough while nothing is held out: 1 to 3.",
        "검증 데이터가 없을 때는 에폭을 1~3 정도로 줄이세요: {setting}.",
    ),
    "select_by": Both(
        "Choose checkpoints by the task: {setting}: {value}.",
        "체크포인트를 과업 지표로 고르세요. {setting}: {value}",
    ),
    "keep_all": Both(
        "Keep every checkpoint, or more of them: {setting}.",
        "체크포인트를 모두, 또는 더 많이 남기세요: {setting}.",
    ),
    "split_again": Both(
        "Split the data again without rows (or near copies) in both parts; `harness data lint` finds them.",
        "같은 행(또는 거의 같은 행)이 양쪽에 없도록 데이터를 다시 나누세요. `harness data lint`로 찾을 수 있습니다.",
    ),
    "compare_splits": Both(
        "Compare both parts: the same tasks, the same format, the same length? ({setting})",
        "두 데이터의 과업, 형식, 길이가 같은지 견주어 보세요({setting}).",
    ),
    "mix_in": Both(
        "Mix some general rows into the training data: {setting}.",
        "학습 데이터에 일반 행을 섞으세요: {setting}.",
    ),
    "look_at_labels": Both(
        "Print two training rows with their labels and see whether the answer is unmasked ({setting}).",
        "학습 행 두 개를 라벨과 함께 출력해 답이 마스킹되지 않았는지 확인하세요({setting}).",
    ),
    "look_at_validation": Both(
        "Look for validation rows without an answer ({setting}).", "답이 없는 검증 행을 찾으세요({setting})."
    ),
    "look_at_order": Both(
        "Shuffle the rows; look at what stands at that distance in the data.",
        "행을 섞고, 그 간격으로 데이터에 무엇이 있는지 보세요.",
    ),
    "look_at_rows_of_spikes": Both(
        "Look at the rows of those steps: very long, empty or garbled ones.",
        "그 스텝의 행을 보세요. 지나치게 길거나 비었거나 깨진 행이 원인일 수 있습니다.",
    ),
    "bf16_or_fp32": Both(
        "Compute in bfloat16, or in float32 where the GPU has none: {setting}.",
        "bfloat16으로, GPU가 지원하지 않으면 float32로 계산하세요: {setting}.",
    ),
    "check_base": Both(
        "Check that weights, tokenizer and chat template come from the same model.",
        "가중치, 토크나이저, 챗 템플릿이 같은 모델의 것인지 확인하세요.",
    ),
    "serve_quantised": Both(
        "Serve it on the 4-bit base, and measure it there: `harness sweep RUN --suite SUITE --quantization nf4`.",
        "4비트 베이스로 서빙하고 평가도 그 위에서 하세요: `harness sweep RUN --suite SUITE --quantization nf4`.",
    ),
    "last_stage": Both(
        "Or go on from this adapter on the base that will be served: a recipe with `start_from` and {setting}: {value}.",
        "또는 실제로 서빙할 베이스에서 이 어댑터를 이어서 학습하세요. 레시피에 `start_from`과 {setting}: {value} 값을 씁니다.",
    ),
    "check_frozen": Both(
        "Check that the adapter's weights are trainable and reached (target modules, frozen parameters).",
        "어댑터 가중치가 학습 가능한 상태인지 확인하세요(대상 모듈, 동결된 파라미터).",
    ),
    "check_dialect": Both(
        "Check that training rows and evaluation write calls in the same dialect.",
        "학습 행과 평가가 같은 형식으로 도구 호출을 쓰는지 확인하세요.",
    ),
    "add_no_call": Both(
        "Add training rows in which no tool fits and the right answer is no call.",
        "맞는 도구가 없어 호출하지 않는 것이 정답인 학습 행을 더하세요.",
    ),
    "earlier_checkpoint": Both(
        "Take an earlier checkpoint, or train for fewer epochs.",
        "더 이른 체크포인트를 쓰거나 에폭을 줄이세요.",
    ),
    "supervise_end_of_turn": Both(
        "Let the end-of-turn token bear a loss in every training row.",
        "모든 학습 행에서 턴 종료 토큰에도 손실이 걸리게 하세요.",
    ),
    "shorten_prompts": Both(
        "Shorten the prompts, for example by offering fewer tools a row.",
        "행마다 제시하는 도구를 줄이는 등 프롬프트를 줄이세요.",
    ),
}

SETTINGS: dict[Setting, tuple[str, str, str]] = {
    "learning_rate": ("training.learning_rate", "learning_rate", "learning_rate"),
    "warmup_steps": ("training.warmup_steps", "warmup_steps", "warmup_ratio"),
    "max_grad_norm": ("training.max_grad_norm", "max_grad_norm", "max_grad_norm"),
    "num_train_epochs": ("training.num_train_epochs", "num_train_epochs", "num_train_epochs"),
    "max_steps": ("training.max_steps", "max_steps", "max_steps"),
    "dtype": ("training.dtype", "bf16 / fp16", "bf16 / fp16"),
    "weight_decay": ("training.weight_decay", "weight_decay", "weight_decay"),
    "max_length": ("tokens.max_length", "max_length", "cutoff_len"),
    "loss_on": (
        "tokens.loss_on",
        "assistant_only_loss / completion_only_loss",
        "train_on_prompt / mask_history",
    ),
    "rank": ("lora.r", "r (LoraConfig)", "lora_rank"),
    "dropout": ("lora.dropout", "lora_dropout (LoraConfig)", "lora_dropout"),
    "validation": ("validation", "eval_dataset", "val_size / eval_dataset"),
    "every": ("evaluation.every", "eval_steps", "eval_steps"),
    "at_start": ("evaluation.at_start", "eval_on_start", "eval_on_start"),
    "early_stopping": (
        "evaluation.early_stopping.patience",
        "early_stopping_patience (EarlyStoppingCallback)",
        "early_stopping_steps",
    ),
    "train_probe": ("evaluation.train_probe", "eval_dataset['train_probe'], rows", "eval_dataset"),
    "metric": ("evaluation.metric", "metric_for_best_model", "metric_for_best_model"),
    "keep": ("evaluation.keep", "save_total_limit", "save_total_limit"),
    "logging_steps": ("training.logging_steps", "logging_steps", "logging_steps"),
    "batch_size": (
        "training.per_device_train_batch_size",
        "per_device_train_batch_size",
        "per_device_train_batch_size",
    ),
    "quantization": ("quantization", "quantization_config", "quantization_bit"),
    "train": ("train", "train_dataset", "dataset"),
}
"""What each setting is called in our recipes, in Hugging Face's trainers, and in LLaMA-Factory."""

NOTES: dict[str, Both] = {
    "torn_line": Both(
        "{file}: the last line ({line}) is cut short; it was left out.",
        "{file}: 마지막 줄({line})이 중간에 끊겨 있어 뺐습니다.",
    ),
    "no_header": Both(
        "{file} is not there: read without the recipe.", "{file} 파일이 없어 레시피 없이 읽었습니다."
    ),
    "header_unreadable": Both(
        "{file} cannot be read ({what}): read without it.",
        "{file} 파일을 읽을 수 없어({what}) 빼고 읽었습니다.",
    ),
    "state_of_checkpoint": Both("Read from {file}.", "{file} 파일을 읽었습니다."),
    "resumed": Both(
        "The log goes back to earlier places (a resumed run): {n} older values were replaced.",
        "로그가 앞 지점으로 되돌아갑니다(재개한 학습). 이전 값 {n}개를 새 값으로 바꾸었습니다.",
    ),
    "reloaded": Both(
        "Evaluations made after training, or of a checkpoint that was loaded again (`load_best_model_at_end`), were left out ({n}): the curve keeps what each step had before.",
        "학습이 끝난 뒤, 또는 체크포인트를 다시 불러와(`load_best_model_at_end`) 한 평가 {n}개를 뺐습니다. 곡선에는 각 지점에서 처음 잰 값을 씁니다.",
    ),
    "null_losses": Both(
        "Training losses that are null beside a learning rate or a gradient norm were left out ({n}): some writers put null for NaN.",
        "학습률이나 그래디언트 노름 옆의 학습 손실 {n}개가 null이어서 뺐습니다. NaN을 null로 적는 프로그램도 있습니다.",
    ),
    "renamed": Both(
        "Read as losses and evaluations under Hugging Face's names (of a perplexity, its logarithm): {key}.",
        "Hugging Face 이름의 손실과 평가로 읽었습니다(퍼플렉시티는 로그를 취함): {key}.",
    ),
    "unread_keys": Both(
        "No held-out loss was recognised; these keys may be evaluations, and were not understood: {key}.",
        "검증 손실을 찾지 못했습니다. 다음 항목은 평가일 수 있지만 읽지 못했습니다: {key}.",
    ),
    "measured_once": Both(
        "Measured at one place only, so a score and no curve; left out: {key}.",
        "한 지점에서만 잰 값이라 곡선이 아닌 점수로 보고 뺐습니다: {key}.",
    ),
    "unsorted": Both(
        "The entries were not in order and have been sorted.", "기록 순서가 뒤섞여 있어 정렬했습니다."
    ),
    "not_numbers": Both("{n} values that are no numbers were left out.", "숫자가 아닌 값 {n}개를 뺐습니다."),
    "no_place": Both(
        "{n} entries without a step (or epoch) were left out.",
        "스텝(또는 에폭)이 없는 기록 {n}개를 뺐습니다.",
    ),
    "direction_unknown": Both(
        "Which way is better is not known of {key}: drawn, and left out of the verdict.",
        "{key} 값은 높을수록 좋은지 낮을수록 좋은지 알 수 없어 그리기만 하고 판정에서는 뺐습니다.",
    ),
    "tracker_export": Both(
        "Read as a Weights & Biases export: train/loss as loss, eval/loss as eval_loss.",
        "Weights & Biases에서 내보낸 로그로 읽었습니다(train/loss는 loss, eval/loss는 eval_loss).",
    ),
    "too_many_keys": Both(
        "More than {n} evaluation keys; the rest was left out.", "평가 항목이 {n}개를 넘어 나머지는 뺐습니다."
    ),
}

BEST: dict[str, Both] = {
    "only": Both("the only evaluation", "유일한 평가입니다"),
    "lowest": Both("{key} is lowest there: {value}", "{key} 값이 여기서 가장 낮습니다({value})"),
    "highest": Both("{key} is highest there: {value}", "{key} 값이 여기서 가장 높습니다({value})"),
    "within_noise": Both(
        "{key} {value}: the earliest of {equals} evaluations that equal the best ({extreme_value} at {extreme_at}) within the noise of {band}",
        "{key} 값 {value}: 최저값({extreme_at}, {extreme_value})과 잡음({band}) 이내로 같은 평가 {equals}개 중 가장 이릅니다",
    ),
    "one_se": Both(
        "{key} {value}: the earliest of {equals} evaluations within one standard error ({band}) of the best ({extreme_value} at {extreme_at})",
        "{key} 값 {value}: 최고값({extreme_at}, {extreme_value})과 표준오차({band}) 이내인 평가 {equals}개 중 가장 이릅니다",
    ),
    "nearest_saved": Both(
        "{key} {value}: the best that was kept; {extreme_at} was better ({extreme_value})",
        "{key} 값 {value}: 남아 있는 것 중 가장 좋습니다. {extreme_at}에서 더 좋았습니다({extreme_value})",
    ),
}

LABELS: dict[str, Both] = {
    "gain_unseen": Both(
        "No sign of trouble, but the held-out rows were level from the first evaluation on: a gain, if any, came before it.",
        "문제의 징후는 없지만 검증 성적이 첫 평가부터 그대로입니다. 좋아졌다면 첫 평가 이전입니다.",
    ),
    "leaked_rows": Both(
        "Rows that were trained on are among the held-out ones, so the held-out numbers cannot be believed, whatever they say.",
        "학습에 쓴 행이 검증 데이터에도 있어, 수치가 어떻든 검증 결과를 믿을 수 없습니다.",
    ),
    "no_gain": Both(
        "The held-out rows are no better than before training.",
        "검증 데이터의 성적이 학습 전보다 나아지지 않았습니다.",
    ),
    "diagnosis": Both("Training diagnosis", "학습 진단"),
    "verdict": Both("Verdict", "판정"),
    "confidence": Both("confidence", "확신도"),
    "findings": Both("Findings", "발견한 점"),
    "no_findings": Both("No findings.", "발견한 문제가 없습니다."),
    "best": Both("Best checkpoint", "가장 좋은 체크포인트"),
    "no_best": Both("No held-out evaluation to choose by.", "고를 근거가 되는 검증 평가가 없습니다."),
    "not_kept": Both("no checkpoint was kept there", "그 지점의 체크포인트는 남아 있지 않습니다"),
    "unknown_kept": Both("if a checkpoint was saved there", "그 지점에 저장된 체크포인트가 있다면"),
    "do": Both("To do", "할 일"),
    "evidence": Both("Numbers", "근거 수치"),
    "curves": Both("Curves", "곡선"),
    "notes": Both("About the log", "로그에 관하여"),
    "train_loss": Both("training loss", "학습 손실"),
    "smoothed": Both("training loss, smoothed", "학습 손실(평활)"),
    "loss": Both("Loss", "손실"),
    "learning_rate": Both("Learning rate", "학습률"),
    "grad_norm": Both("Gradient norm", "그래디언트 노름"),
    "task": Both("Task metrics", "과업 지표"),
    "step": Both("step", "스텝"),
    "epoch": Both("epoch", "에폭"),
    "entry": Both("log entry", "기록"),
    "logs": Both("logs", "기록"),
    "evals": Both("evaluations", "평가"),
    "run": Both("Run", "학습"),
    "training_rows": Both("training rows", "학습 행"),
    "validation_rows": Both("validation rows", "검증 행"),
    "last_epoch": Both("epochs", "에폭"),
    "peak_lr": Both("peak learning rate", "최고 학습률"),
    "table": Both("The evaluations in numbers", "평가 수치"),
    "skip": Both("Skip to the verdict", "판정으로 건너뛰기"),
    "better": Both("best", "최고"),
    "codes": Both(
        "Every code is explained in docs/diagnosis.md.", "코드 설명은 docs/diagnosis.md에 있습니다."
    ),
    "gaps": Both("not a number", "숫자가 아님"),
    "picture": Both(
        "Curves of this run over its {axis}s. Numbered marks are findings; the vertical line is the best checkpoint.",
        "이 학습의 {axis}별 곡선입니다. 번호는 발견한 점, 세로선은 가장 좋은 체크포인트입니다.",
    ),
    "of_plan": Both("{progress_share} of the plan", "계획의 {progress_share}입니다"),
    "of_rate": Both(
        "with the learning rate still at {rate_share} of its peak",
        "학습률이 아직 최고값의 {rate_share}입니다",
    ),
}
