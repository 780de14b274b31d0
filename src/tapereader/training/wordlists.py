"""Short lists of financial words in English and Chinese, for the dumb rule that every model is measured against.

The lists were written for this package from general knowledge of financial news. They are base forms: English forms
are derived by rule, irregular ones are written out.
"""

from __future__ import annotations

_EN = {
    "positive": """
        accelerate accretive achieve advance advantage affordable ahead appreciate approve attractive award bargain
        beat benefit best better boom boost bought breakthrough bright brisk bullish buoyant buyback celebrate cheer
        climb comeback commend confident constructive delight deliver double efficient encourage enhance enjoy excel
        exceed excellent expand expansion favorable favourable favorite flourish gain gained good great grew grow
        grown growth happy healthy high higher highest impressive improve improvement increase innovative integrate
        jump jumped landmark lead leader leap leapt lift lucrative milestone momentum nice optimistic optimism
        outpace outperform outshine outstrip overcome overtake partner pleased plentiful popular positive premium
        prevail profit profitable progress prosper prosperous raise rally ramp rebound record recover recovery
        regain reinstate resilient restore revive reward rise risen robust rose satisfied save secure shine
        skyrocket soar solid spectacular stabilize stable steady strength strengthen strong stronger strongest
        succeed success successful superior support surge surpass sustainable swell thrive top triple triumph
        tripled turnaround undervalued unlock upbeat upgrade upside uptick upturn upward valuable victory vigorous
        welcome win winner won worth
    """,
    "negative": """
        abandon accuse allegation attrition bad bankrupt bankruptcy bear bearish below blame bleak breach bribery
        burden caution challenge cheat close collapse complain concern contract contraction corrupt crash crisis
        critical criticize cut damage danger death decline decrease default deficit delay delinquent demote
        deteriorate difficult dip disappoint disappointing discontinue dismal dispute disrupt distress dive divest
        doubt downgrade downside downturn downward drag drain drop dropped dump erode erosion evade exit fail
        failure fall fallen fear fell fine fire flop foreclosure fraud freeze frozen glut grim halt halve hamper
        harm headwind hit hurdle hurt illegal impair impairment inferior insolvent investigate investigation kill
        lag lay-off layoff liquidate litigation lockout lose loser loss losses lost low lower lowest miscount miss
        mistake negative outage overdue overvalued panic penalty pessimistic plague plummet plunge poor pressure
        problem protest punish recall recession redundancy reject reluctant resign restate restructure retreat
        sanction sank scandal scrap sell-off sell selloff setback severe shortage shortfall shrank shrink shut
        shutdown sink slash slid slide slip slow slowdown sluggish slump soften stagnant steal strain strike
        struggle stumble suffer suspend terminate threat threaten trouble tumble turmoil unable underperform
        unfavorable unprofitable unrest violate volatile vulnerable warn warning weak weaken weaker weakness
        withdraw withdrawn woe worry worse worsen worst write-down writedown writeoff wrong
    """,
    "uncertain": """
        about ambiguous anticipate apparent appear approximate assume believe cautious conceivable conditional
        contingent could depend doubtful estimate expect exposure fluctuate forecast guess hope if indefinite
        likelihood likely may maybe might nearly outlook pending perhaps possible possibly potential predict
        preliminary presume probable probably project random reconsider risk roughly rumor rumour seem seldom should
        speculate suggest suppose tentative uncertain uncertainty unclear undecided unknown unpredictable unsettled
        unusual vague variable volatility
    """,
    "litigious": """
        accusation acquit agreement antitrust appeal appellate arbitration attorney claim claimant complaint
        compliance conviction counsel court covenant damages decree defendant deposition enforce felony fine hearing
        indict indictment infringe infringement injunction judge judgment jury law lawful lawsuit lawyer legal
        legislation liable litigate litigation plaintiff plea probe prosecute regulator ruling settle settlement
        statute sue sued summon testify tribunal unlawful verdict violation
    """,
    "hawkish": """
        accelerating contractionary curb elevated firming fight hawkish heat hike inflation inflationary overheat
        overheating pressures price prices restrictive rising robust strong stronger taper tight tighten tightened
        tightening tighter upward vigilant withdraw
    """,
    "dovish": """
        accommodate accommodation accommodative cut decline declining dovish downside downturn ease eased easing
        expansionary lower lowered moderate moderating patient purchases recession slack slow slower slowing
        slowdown soft softening stimulate stimulus subdued sustain unemployment weak weaker weakness
    """,
}
_ZH = {
    "positive": """
        上涨 上升 增长 增加 提升 提高 改善 盈利 利好 看好 突破 创新高 新高 大涨 飙升 涨停 走强 回升 反弹 复苏 强劲
        超预期 好于预期 增持 买入 推荐 扩大 扩张 领先 优势 优秀 成功 获批 中标 签约 合作 回购 分红 稳健 稳定 稳步
        向好 景气 受益 利润增 扭亏 转盈 翻番 倍增 加速 高增 创纪录 丰收 繁荣 乐观 积极 支持 鼓励 补贴 获奖 升级 上调
        做多 牛市 大牛 抄底 机会 潜力 龙头 红利 暴涨 拉升 起飞 加油 赚 涨 喜 强势 放量 走高 高开 收涨 热销 畅销 夺冠
        突出 完善
    """,
    "negative": """
        下跌 下降 下滑 减少 亏损 利空 看空 跌停 大跌 暴跌 走弱 疲软 低迷 衰退 萎缩 恶化 低于预期 不及预期 减持 卖出
        违约 逾期 破产 清算 重整 倒闭 退市 处罚 罚款 警告 立案 调查 违规 违法 诈骗 欺诈 造假 虚假 诉讼 起诉 冻结
        查封 拘留 逮捕 失联 跑路 坏账 不良 爆雷 暴雷 踩雷 风险 危机 恐慌 担忧 悲观 压力 拖累 下调 降级 做空 熊市
        崩盘 套牢 割肉 垃圾 骗 亏 跌 惨 裁员 停产 停牌 召回 事故 爆炸 污染 质疑 丑闻 纠纷 缩水 腰斩 闪崩 跳水 承压
    """,
    "uncertain": """
        可能 或许 也许 或将 预计 预期 大概 估计 不确定 未知 待定 传闻 据传 有望 拟 计划 如果 若 波动 震荡 观望 谨慎
        分歧 疑似 尚未 未必 似乎 变数 考虑 等待
    """,
    "hawkish": "加息 收紧 紧缩 通胀 过热 去杠杆 上行",
    "dovish": "降息 降准 宽松 放松 刺激 逆回购 下行 稳增长",
}
_EN_NEGATION = "no not never none neither nor without cannot can't won't didn't doesn't don't isn't wasn't less lack"
_ZH_NEGATION = "不 没 无 未 非 否认 并未 难以 避免"


def english_words() -> dict[str, frozenset[str]]:
    """Return the English lists by category, every base form with its regular inflections."""
    return {
        category: frozenset(form for word in words.split() for form in _forms(word)) for category, words in _EN.items()
    }


def chinese_words() -> dict[str, tuple[str, ...]]:
    """Return the Chinese lists by category, longest words first."""
    return {
        category: tuple(sorted(set(words.split()), key=lambda word: (-len(word), word)))
        for category, words in _ZH.items()
    }


def english_negations() -> frozenset[str]:
    """Return the English words that turn what follows into its opposite."""
    return frozenset(_EN_NEGATION.split())


def chinese_negations() -> tuple[str, ...]:
    """Return the Chinese words that turn what follows into its opposite, longest first."""
    return tuple(sorted(_ZH_NEGATION.split(), key=lambda word: (-len(word), word)))


def _forms(word: str) -> set[str]:
    # Over-generates: a form that no text uses is never counted.
    forms = {word, word + "s", word + "ed", word + "ing"}
    if word.endswith("e"):
        forms |= {word + "d", word[:-1] + "ing"}
    if word.endswith("y"):
        forms |= {word[:-1] + "ies", word[:-1] + "ied"}
    if word.endswith(("s", "sh", "ch", "x")):
        forms.add(word + "es")
    if word[-1] in "pbgtmn" and word[-2] in "aeiou":
        forms |= {word + word[-1] + "ed", word + word[-1] + "ing"}
    return forms
