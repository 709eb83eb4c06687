"""Names of models and of the companies that make them, as parts of regular expressions."""

from __future__ import annotations

COMPANY = (
    r"(?:open\s?ai|오픈\s?(?:ai|에이아이)|alibaba(?:\s?cloud)?|알리바바(?:\s?클라우드)?|meta(?:\s?ai)?|메타(?:\s?ai)?|google(?:\s?deepmind)?"
    r"|구글|deepmind|딥마인드|anthropic|[앤안][트스]로[픽피]\w?|naver(?:\s?cloud)?|네이버(?:\s?클라우드)?|kakao|카카오|hugging\s?face|허깅\s?페이스"
    r"|microsoft|마이크로소프트|mistral(?:\s?ai)?|미스트랄|deepseek|딥시크|xai|upstage|업스테이지|lg\s?ai(?:\s?연구원|\s?research)?|sk\s?텔레콤|baidu|바이두"
    r"|tencent|텐센트|moonshot|zhipu|cohere|코히어|nvidia|엔비디아|stability\s?ai|skt|삼성(?:전자|리서치)?|apple|애플|amazon|아마존|ibm|阿里(?:云|巴巴)?|百度|腾讯)"
)
MODEL = (
    r"(?:qwen\s?[\d.]*|큐?웬(?=[이입라은])|큐원|통의천문|通[义義]千[问問]|chat\s?gpt|챗\s?gpt|챗\s?지피티|gpt-?\s?[\d.]+\w*|llama\s?[\d.]*|라마(?=(?:라는|예|입|야|\s?[\d]|\s?모델))"
    r"|gemini|제미나이|gemma\s?\d*|젬마|claude|클로드|하이퍼클로바\s?x?|hyperclova\s?x?|클로바\s?x|smollm\w*|exaone|엑사원|phi-?\d|mixtral|deepseek(?:-\w+)?"
    r"|kimi|chatglm\w*|glm-?\d|copilot|코파일럿|bard|바드|grok|그록|뤼튼|solar(?:\s?pro|\s?mini)|빅스비|시리(?=예|입|야|라고)|文心一言|豆包)"
)
