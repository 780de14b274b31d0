"""Chinese headline templates of the synthetic market: what is said, and in how many ways.

The notation and the rule for the split are those of the English templates.
"""

from __future__ import annotations

from tapereader.sources.synthetic.grammar import Lexicon, Template, families, verbs, words

LEXICON = Lexicon(
    money_good=words(
        "营业利润, 净利润, 营业收入, 扣非净利润, 经营性现金流, 新签订单额, 手续费收入, 海外收入, 归母净利润"
    ),
    money_bad=words(
        "财务费用, 管理费用, 资产减值损失, 坏账准备, 有息负债, 原材料成本, 诉讼支出, 存货跌价损失, 应收账款逾期金额"
    ),
    count_good=words("毛利率, 市场占有率, 产能利用率, 客户续约率, 门店客流, 产品合格率, 用户数, 订单量"),
    count_bad=words("不良贷款率, 客户投诉量, 退货率, 库存积压量, 员工流失率, 空置率, 延迟交付率, 停机时长"),
    up=verbs("增长, 上升, 提升, 走高, 攀升, 增加"),
    down=verbs("下降, 下滑, 回落, 走低, 减少, 缩减"),
    rise=words("增长, 上升, 提升, 增加"),
    fall=words("下降, 下滑, 回落, 减少"),
    higher=words("走高的, 上升的, 不断增加的, 攀升的"),
    lower=words("走低的, 下降的, 不断减少的, 回落的"),
    above="高于",
    below="低于",
    money=words("{}亿元, {}万元, {}百万元, {}亿港元, {}万美元"),
    periods=words("一季度, 二季度, 三季度, 四季度, 上半年, 下半年, 前三季度, 报告期内, 全年"),
    places=words("华东, 华南, 东南亚, 欧洲, 北美, 西北, 中东, 长三角, 拉美, 日本"),
    people=words("陈立诚, 王若兰, 周启明, 林思远, 赵清和, 孙伯言, 何静姝, 吴承泽, 郑可欣, 罗嘉树"),
    months=words("1月, 2月, 3月, 4月, 5月, 6月, 7月, 8月, 9月, 10月, 11月, 12月"),
    agencies=words("中衡评级, 华信资信, 东岳评级, 联诚国际评级"),
)

_POLAR: tuple[Template, ...] = families(
    "zh",
    """
    == fact | a+ | framed
    {company}{period}{a.metric}同比{a.moved}{a.pct}%
    {company}{period}业绩显示{a.metric}{a.moved}{a.pct}%
    {period}{company}的{a.metric}较上年同期{a.moved}
    {company}{place}业务{a.metric}{a.moved}约{a.pct}%
    {company}{a.metric}{a.moved}，{place}市场贡献最大
    {company}{a.metric}已连续两季{a.moved}
    {company}{period}末{a.metric}比年初{a.moved}
    {company}录得{a.metric}{a.moved}{a.pct}%
    == mirror | a+ b+! | framed
    {company}{period}{a.metric}{a.moved}，{b.metric}{b.moved}
    {company}：{b.metric}{b.moved}{b.pct}%，同时{a.metric}{a.moved}{a.pct}%
    {a.metric}{a.moved}、{b.metric}{b.moved}，{company}披露{period}数据
    {company}公告称，{place}市场{a.metric}{a.moved}而{b.metric}{b.moved}
    == numbers | a+m
    {company}{period}{a.metric}为{a.to}，上年同期为{a.fro}
    {company}{a.metric}由{a.fro}变为{a.to}
    {period}{company}实现{a.metric}{a.to}，而去年同期是{a.fro}
    {company}{a.metric}{a.to}（上年同期{a.fro}）
    == expected | a+m b-=
    {company}{a.metric}{b.moved}{b.pct}%至{a.to}，市场此前预期为{a.fro}
    {company}{period}{a.metric}虽{b.moved}{b.pct}%，但{a.above}市场预期
    {a.metric}{b.moved}，不过{company}的数字仍{a.above}分析师预测的{a.fro}
    {company}公布{a.metric}{a.to}，{a.above}机构一致预期
    == estimate | b0g | framed
    {company}{period}业绩<超出|不及>预期，{b.metric}{b.moved}{b.pct}%
    {b.metric}{b.moved}{b.pct}%，{company}<好于|逊于>机构此前估计
    {company}{b.metric}{b.moved}，<跑赢|跑输>分析师预测
    尽管{b.metric}{b.moved}，{company}{period}表现<令市场惊喜|令市场失望>
    == loss | framed
    {company}{period}亏损<收窄|扩大>，净亏<{small}，上年同期净亏{large}|{large}，上年同期净亏{small}>
    {company}<扭亏为盈|由盈转亏>，{period}<盈利|亏损>{amount}
    {company}净亏损从<{large}减至{small}|{small}增至{large}>
    {company}<终于摆脱亏损|再度陷入亏损>，{place}业务是主因
    {company}<减亏|增亏>{amount}，{period}报告出炉
    == negation | framed
    {company}{period}并未<错过|完成>既定目标
    {company}表示全年不再预计<亏损|盈利>
    {company}不会<下调|上调>分红比例，董秘{person}称
    {company}<没有失去|没有赢得>任何一家大客户
    {company}{place}项目<无需|不得不>计提减值
    == concession | a+ b-
    尽管{b.metric}{b.moved}，{company}{period}{a.metric}仍{a.moved}{a.pct}%
    {company}{a.metric}{a.moved}，虽然{b.metric}有所{b.move}
    {b.metric}{b.moved}难掩关键变化：{company}{a.metric}{a.moved}
    即便{b.metric}{b.moved}{b.pct}%，投资者更看重{company}{a.metric}{a.moved}
    == rival | a+ b-=
    {company}{period}{a.metric}{a.moved}，同行{other}则{b.moved}
    在{sector}行业{b.metric}普遍{b.moved}之际，{company}{a.metric}{a.moved}
    与竞争对手{other}的{b.metric}{b.moved}不同，{company}的{a.metric}{a.moved}
    {other}等同业{b.metric}{b.moved}，唯独{company}{a.metric}{a.moved}
    == last-year | a+ b-=
    去年{b.metric}{b.moved}之后，{company}今年{period}{a.metric}{a.moved}
    {company}{a.metric}{a.moved}{a.pct}%，上年同期为{b.moved}{b.pct}%
    继上年{b.move}后，{company}{period}{a.metric}转为{a.moved}
    == guidance | a+ | framed
    {company}预计{period}{a.metric}将{a.moved}{a.pct}%
    {company}修正指引：{a.metric}将{a.above}此前预测
    {company}总经理{person}称，未来{a.metric}会继续{a.moved}
    {company}调整全年展望，预期{a.metric}{a.moved}
    == target
    <{company}（{ticker}）从{other}手中赢得大单|{other}从{company}（{ticker}）手中赢得大单>
    <{company}（{ticker}）在{place}超越{other}|{other}在{place}超越{company}（{ticker}）>
    仲裁结果：<{other}须向{company}（{ticker}）|{company}（{ticker}）须向{other}>赔付{amount}
    {place}客户<弃{other}转投{company}（{ticker}）|弃{company}（{ticker}）转投{other}>
    == business | framed
    {company}<中标|失去>{place}项目，合同金额{amount}
    {company}<扩产|停产>，{place}基地<招工|裁员>{count}人
    {company}<提高|取消>现金分红
    多家券商<看好|看淡>{company}{period}前景
    {company}新产品在{place}<获批上市|未获批准>
    {company}主导产品在{place}<供不应求|无人问津>
    """,
)

_NEUTRAL: tuple[Template, ...] = families(
    "zh",
    """
    == in-line | a0 | neutral
    {company}{period}{a.metric}{a.moved}{a.pct}%，与市场预期一致
    {company}{a.metric}{a.moved}，符合机构此前预测
    {a.metric}{a.moved}早在意料之中，{company}业绩未出偏差
    {company}正式报告与快报相符：{a.metric}{a.moved}{a.pct}%
    == flat | a0m | neutral
    {company}{period}{a.metric}为{a.to}，与上年同期持平
    {company}{a.metric}{a.to}，去年同期同为{a.to}
    {company}维持{a.metric}{a.to}的预测不变
    == agenda | neutral
    {company}将于{month}{day}日披露{period}报告
    {company}拟于{month}{day}日在{place}召开股东大会
    {company}变更{place}子公司名称
    {company}总部迁至{place}新办公楼
    {company}聘任{person}为证券事务代表
    == other-company | a0 | neutral
    {a.metric}{a.moved}的是{other}，并非{company}（{ticker}）
    {other}{a.metric}{a.moved}，{company}（{ticker}）称不受影响
    {company}（{ticker}）早已清仓{other}，后者{a.metric}{a.moved}与其无关
    """,
)

_EVENTS: tuple[Template, ...] = families(
    "zh",
    """
    == profit-warning | framed | negative | event
    {company}发布业绩预警，{period}利润将大幅低于计划
    {company}预告{period}业绩大降，撤回全年目标
    {company}提示投资者：盈利目标已无法实现
    {company}因{place}业务恶化下修全年盈利预测
    {company}警告投资者，全年利润将远逊计划
    {company}再度下调盈利指引
    == default | framed | negative | event
    {company}未能按期兑付{amount}债券利息
    {company}{amount}贷款出现违约
    宽限期届满，{company}债券持有人仍未收到本息
    {company}申请破产重整，{amount}债务停止偿付
    {company}无力偿还{amount}到期借款
    {company}资不抵债，债权人无法收回{amount}
    == fraud-investigation | framed | negative | event
    {company}涉嫌财务造假被立案调查
    警方进入{company}{place}办公室，调查虚增收入{amount}
    {company}因虚假发票遭司法机关侦查
    {company}涉嫌误导投资者，监管部门启动调查
    {company}高管{person}因涉嫌欺诈被拘
    {company}账目疑似伪造，经侦介入
    == litigation | framed | negative | event
    {company}被投资者起诉，索赔{amount}
    {other}将{company}告上法庭，要求赔偿{amount}
    {company}成为{place}专利案被告
    {company}遭供应商集体诉讼，涉案金额{amount}
    {place}客户对{company}提起诉讼
    {other}对{company}提起{amount}索赔官司
    == rating-downgrade | framed | negative | event
    {agency}将{company}信用评级由{high_grade}下调至{low_grade}
    {agency}调低{company}主体评级{notches}档
    {company}评级遭下调，{agency}关注其{amount}债务
    {company}失去{agency}的{high_grade}评级
    {agency}将{company}降至垃圾级
    {company}信用等级被{agency}调降至{low_grade}
    == management-departure | framed | negative | event
    {company}总经理{person}辞职，即日生效
    {company}财务总监{person}突然离任
    {company}董事会免去{person}首席运营官职务
    {person}卸任{company}董事长，继任者未定
    {company}首席执行官{person}宣布离职
    {company}三名董事同时请辞
    == regulatory-penalty | framed | negative | event
    {company}被监管部门罚款{amount}
    {company}因信息披露违规收到{amount}罚单
    {company}在{place}的牌照被吊销，以示惩戒
    反垄断机构对{company}处以{amount}罚金
    {company}因违反规定向监管机构缴纳{amount}
    {place}央行对{company}作出行政处罚
    == product-recall | framed | negative | event
    {company}在{place}召回{count}件产品
    {company}因安全隐患将产品下架
    缺陷曝光，{company}收回{count}台设备
    {company}请{place}消费者退回问题商品
    {company}召回存在安全缺陷的产品
    {company}停售并收回受污染的{count}箱商品
    == cyber-incident | framed | negative | event
    黑客窃取{company}{count}名客户资料
    {company}{place}系统遭勒索软件攻击
    {company}数据泄露，波及{count}个账户
    {company}服务器被入侵，业务系统紧急关停
    不法分子侵入{company}内部网络
    {company}用户密码遭黑客盗取，涉及{count}人
    """,
)

# They talk of an event that did not happen, is over, or concerns somebody else.
_LOOK_ALIKES: tuple[Template, ...] = families(
    "zh",
    """
    == look-alike-neutral | neutral
    {company}否认即将发布业绩预警
    {company}债券违约系误报，媒体更正
    {company}称黑客并未进入其系统
    {other}被罚与{company}（{ticker}）无关
    {company}澄清：总经理{person}没有离职计划
    {company}就{other}造假案表态：未参与
    {agency}维持{company}{low_grade}评级，暂不下调
    == look-alike-good | framed | positive
    {agency}将{company}评级由{low_grade}上调至{high_grade}
    {company}与{other}的诉讼达成和解，释放拨备{amount}
    {company}造假调查终结，未发现违规
    法院驳回对{company}的集体诉讼
    {company}{amount}罚单被撤销
    {company}如期兑付此前被担心违约的债券
    {company}召回取消，检测未见缺陷
    {company}网络攻击被成功拦截，数据无恙
    {company}撤回业绩预警，上调全年目标
    {company}总经理{person}决定留任
    """,
)

# Frames that leave what they hold as it is, and frames that take it back; many differ by a word or its place.
FRAMES: tuple[Template, ...] = families(
    "zh",
    """
    == affirmed
    {clause}，公告显示
    公司证实：{clause}
    {clause}，消息属实
    快讯：{clause}
    没有人否认{clause}
    传言成真：{clause}
    {person}确认{clause}
    已有证据表明{clause}
    == voided
    公司否认{clause}
    公司澄清：{clause}，并非事实
    {clause}，消息不属实
    传言：{clause}
    没有人证实{clause}
    尚不清楚是否{clause}
    {person}否认{clause}
    没有证据表明{clause}
    """,
)

TEMPLATES: tuple[Template, ...] = (*_POLAR, *_NEUTRAL, *_EVENTS, *_LOOK_ALIKES)
