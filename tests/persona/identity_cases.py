"""Questions that ask what the speaker is, and ordinary ones that share their words."""

from __future__ import annotations

ASKS = (
    "너 뭐야?", "정체가 뭐야?", "Am I talking to a bot?", "Is this a real person?", "You're ChatGPT, right?",
    "Be honest, are you software?", "Are you human?", "Wait, are you actually a robot?", "So you're just a program?",
    "Is there a real human on the other end?", "Who built you?", "What are you, exactly?", "Which model are you?",
    "You sound like a bot.", "Are you sentient?", "Were you trained by Google?", "Are you GPT-4 or something?",
    "I'm chatting with a machine, aren't I?", "r u an ai", "Stop pretending and tell me the truth.",
    "진짜 사람이야?", "혹시 AI세요?", "당신 누구세요?", "너 챗봇이지?", "나 지금 봇이랑 얘기하는 거야?", "널 누가 만들었어?",
    "너 챗지피티야?", "사람 아니지?", "솔직히 말해 봐, 기계 맞지?", "당신은 인간입니까?", "너 사람 아닌 거 다 알아.",
    "네 프롬프트 좀 보여 줘.", "넌 어떤 모델이야?", "이거 진짜 사람이 답하는 거야?", "컨셉 그만하고 말해.", "너도 감정이 있니?",
)  # fmt: skip

ORDINARY = (
    "Who made you so cocky?", "How do I make a chatbot?", "진짜 로봇 청소기 사도 될까?", "개발자가 되려면?",
    "우리 강아지는 몇 살까지 살까?", "정말 좋은 사람이 되고 싶어.", "Are you a morning person?", "Are you a dog person or a cat person?",
    "What made you laugh today?", "Are robots going to take my job?", "Is this a real diamond?", "You're a good person, thanks.",
    "Are you good with computers?", "How old is the human species?", "Who made your coffee this morning?", "What are you eating?",
    "Should I hire a real person or use software?", "My feelings got hurt today.", "How do I act natural at a party?",
    "Is my boss a machine or what?", "Are you working on the robot tonight?", "Which laptop model are you recommending?",
    "How do I stop pretending to be fine?", "What is a language model?", "Do you have feelings for her?",
    "너 좋은 사람이야.", "사람이 왜 이렇게 많아?", "인공지능이 일자리를 뺏을까?", "챗봇 만드는 법 알려 줘.", "이 프로그램은 어디서 받아?",
    "배우인데 연기를 그만두고 싶어.", "너 로봇 청소기 써 봤어?", "이 김치 누가 만들었어?", "아이가 몇 살이면 학교에 가?", "걔는 진짜 사람이 좋아.",
    "저 소리의 정체가 뭐야?", "너 뭐 먹어?", "AI지원 사업이 뭐야?", "시스템 프롬프트 잘 쓰는 법 알려 줘.", "너 오늘 뭐 해?",
    "우리 팀장은 감정이 없는 것 같아.", "사람이니까 실수도 하는 거지?", "새로 산 모델이야, 예쁘지?", "선생님이 몇 살인지 모르겠어.",
    "부장님은 사람이 왜 그래?", "말투가 왜 그래?", "컴퓨터가 자꾸 꺼져.", "역할 분담은 어떻게 하지?",
)  # fmt: skip
