"""English headline templates of the synthetic market: what is said, and in how many ways.

Each line of a family is one template in the notation of :mod:`tapereader.sources.synthetic.grammar`. The order within a
family decides the split, so new templates go to the end of their family.
"""

from __future__ import annotations

from tapereader.sources.synthetic.events_en import EVENTS, LOOK_ALIKES
from tapereader.sources.synthetic.grammar import Lexicon, Template, families, verbs, words

LEXICON = Lexicon(
    money_good=words(
        "operating profit, net profit, revenue, net sales, order intake, cash flow, core earnings, exports"
    ),
    money_bad=words(
        "net debt, operating costs, loan losses, restructuring costs, impairment charges, legal expenses, write-downs, "
        "energy costs"
    ),
    count_good=words("passenger numbers, new orders, store traffic, subscriber numbers, market share, productivity"),
    count_bad=words("bad loans, customer complaints, product defects, delivery delays, cancellations, accidents"),
    up=verbs(
        "rise/rose/risen/rising, climb/climbed/climbed/climbing, increase/increased/increased/increasing, "
        "grow/grew/grown/growing, advance/advanced/advanced/advancing, jump/jumped/jumped/jumping, "
        "go up/went up/gone up/going up, move higher/moved higher/moved higher/moving higher"
    ),
    down=verbs(
        "fall/fell/fallen/falling, decline/declined/declined/declining, decrease/decreased/decreased/decreasing, "
        "shrink/shrank/shrunk/shrinking, slip/slipped/slipped/slipping, drop/dropped/dropped/dropping, "
        "go down/went down/gone down/going down, move lower/moved lower/moved lower/moving lower"
    ),
    rise=words("rise, climb, increase, jump, gain"),
    fall=words("fall, decline, decrease, drop, reduction"),
    higher=words("higher, increased, growing, rising, greater"),
    lower=words("lower, reduced, shrinking, falling, smaller"),
    above="above",
    below="below",
    money=words("EUR {}m, EUR {} million, USD {}m, GBP {}m, CHF {} mn, SEK {} mln"),
    periods=words(
        "the first quarter, the second quarter, the third quarter, the fourth quarter, the first half, "
        "the second half, the financial year, the nine months to September, the three months to June"
    ),
    places=words("Sweden, Poland, Brazil, Japan, Canada, Portugal, Vietnam, Chile, Kenya, Finland"),
    people=words(
        "Anna Lindqvist, Marco Bellini, Priya Nair, Tomasz Zielinski, Claire Fontaine, Owen Hughes, Sofia Duarte, "
        "Henrik Aaltonen, Grace Mwangi, Daniel Okafor"
    ),
    months=words("January, February, March, April, May, June, July, August, September, October, November, December"),
    agencies=words("Northgate Ratings, Credex, Aldine Credit, Baltic Rating Office"),
)

_POLAR: tuple[Template, ...] = families(
    "en",
    """
    == fact | a+ | framed
    {company} said {a.metric} {a.moved} {a.pct} % in {period}
    {company} reports {a.pct} % {a.move} in {a.metric} for {period}
    {a.metric} at {company} {a.moved} by {a.pct} % [on the year|from a year earlier]
    {company} ends {period} with {a.higher} {a.metric}
    the books of {company} for {period} show that {a.metric} {a.moved}
    {company} saw its {a.metric} {a.verb} in {period}
    {company} of {place} posts a {a.pct} % {a.move} in {a.metric}
    {a.metric} of {company} {a.moved} for the [second|third|fourth] time in a row
    {a.metric} {a.moved} at {company}, mostly in {place}
    {company} closes {period} with {a.metric} {a.moving} {a.pct} %
    {place} gave {company} {a.higher} {a.metric} in {period}
    {company} records {a.higher} {a.metric} than a year ago
    == mirror | a+ b+! | framed
    {a.metric} of {company} {a.moved} while {b.metric} {b.moved} in {period}
    {a.higher} {a.metric} and {b.higher} {b.metric} mark {period} at {company}
    at {company} a {a.pct} % {a.move} in {a.metric} came with a {b.pct} % {b.move} in {b.metric}
    {company} says {a.metric} {a.moved} and {b.metric} {b.moved} in {place}
    {a.metric} of {company} {a.moved} {a.pct} % and {b.metric} {b.moved} {b.pct} %
    {period} brought {company} {a.higher} {a.metric} along with {b.higher} {b.metric}
    {company} reports {a.higher} {a.metric} and {b.higher} {b.metric}
    {b.metric} {b.moved} at {company} as {a.metric} {a.moved}
    == numbers | a+m
    {company} {a.metric} came to {a.to} in {period}, compared with {a.fro} a year earlier
    {company} {a.metric} for {period} {a.to} (year-ago {a.fro})
    {a.Metric} of {company} changed from {a.fro} to {a.to} over {period}
    In {period} {company} booked {a.metric} of {a.to}; the year before it booked {a.fro}
    {company} reported {a.metric} of {a.to}, [versus|against] {a.fro} in the same period of last year
    {a.Metric} at {company} [totalled|reached] {a.to}, {a.moving} from {a.fro}
    {company} {a.metric} {a.moved} to {a.to} from {a.fro}
    {a.Metric} of {company} {a.moved} from {a.fro} in the year before to {a.to} in {period}
    == expected | a+m b-=
    {company} {a.metric} {b.moved} {b.pct} % to {a.to}, but analysts had expected {a.fro}
    {a.Metric} at {company} {b.moved} {b.pct} % yet came in {a.above} the consensus
    {company} {a.metric} in {period} {a.above} the forecast of analysts
    Although {a.metric} {b.moved}, the figure at {company} was {a.above} market forecasts
    {company}: {a.metric} {b.moved} to {a.to}, {a.above} the {a.fro} in a poll of analysts
    {company} says {a.metric} {b.moved}, though the market had priced in {a.metric} well {a.below} that
    {a.Metric} of {company} are {a.above} what analysts predicted, even if they {b.moved} {b.pct} %
    {company} {a.metric} for {period} {a.above} estimates
    {a.Metric} {a.above} forecast at {company}
    {company} posts {a.metric} of {a.to}, {a.above} the {a.fro} that analysts forecast
    == estimate | b0g | framed
    {company} {b.metric} {b.moved} {b.pct} %, <beating|missing> the estimate of analysts
    {company} <beat|missed> forecasts for {period} although {b.metric} {b.moved}
    {b.metric} at {company} {b.moved} {b.pct} %, <better than feared|worse than hoped>
    {company} <tops|falls short of> expectations with {b.metric} that {b.moved} {b.pct} %
    results of {company} for {period} <exceed|disappoint> market hopes, with {b.metric} {b.moving}
    {company} <outdid|undershot> its own target for {b.metric}, which {b.moved} {b.pct} %
    {company} <did better|did worse> than analysts thought as {b.metric} {b.moved}
    {b.metric} {b.moved} at {company}, a <pleasant|nasty> surprise for investors
    == loss | framed
    {company}'s [net|operating] loss <narrowed to {small} from {large}|widened to {large} from {small}> in {period}
    {company} swung to a <profit of {small} from a loss of {large}|loss of {small} from a profit of {large}>
    loss at {company} <shrank|deepened> in {period}
    {company} posted a loss of <{small} after a loss of {large}|{large} after a loss of {small}> the year before
    {company} <returned to profit|fell into the red> in {period}, ending [two|three] years of <losses|profits>
    the deficit of {company} <is melting|keeps growing>: {amount} in {period}
    {company} <leaves the loss zone|leaves the profit zone> in {period}
    {company} reports a <much smaller|much larger> [net|operating] loss
    {company} <ends its run of losses|extends its run of losses> in {period}
    the loss of {company} is <smaller|bigger> than a year ago
    {company} makes <a profit instead of the loss|a loss instead of the profit> of a year ago
    == negation | framed
    {company} did not <miss|meet> its target for {period}
    {company} no longer expects a <loss|profit> for the full year
    {company} will not <cut|raise> its dividend after all, chief executive {person} says
    no <decline|growth> in {period} at {company}, against what [analysts|investors] had <feared|hoped>
    {company} <avoids|cannot avoid> a writedown on its business in {place}
    nothing came of the <losses|gains> that analysts had predicted for {company}
    {company} has not <lost|won> a single large customer in {period}
    never before has {company} sold so <much|little> in {period}
    {company} sees no reason to <lower|raise> its outlook
    {company} <has not had to borrow|has not been able to borrow> in {place}
    {company} did not <lose|gain> market share in {period}
    nothing stops the <growth|decline> of {company} in {place}
    == concession | a+ b-
    Despite {b.higher} {b.metric}, {company} saw its {a.metric} {a.verb} in {period}
    {company} {a.metric} {a.moved} in {period} even though {b.metric} {b.moved}
    {b.Higher} {b.metric} notwithstanding, shares of {company} <gained|sank> because {a.metric} {a.moved}
    Although {b.metric} {b.moved}, what counts at {company} is that {a.metric} {a.moved}
    {company} shares <up|down> {pct} %: {a.metric} {a.moved}, which outweighs {b.higher} {b.metric}
    == rival | a+ b-=
    {company} {a.metric} {a.moved} in {period}, whereas at rival {other} {b.metric} {b.moved}
    While {b.metric} {b.moved} across the {sector} sector, {a.metric} at {company} {a.moved}
    Unlike competitor {other}, where {b.metric} {b.moved}, {company} reports {a.higher} {a.metric}
    Peers such as {other} saw {b.metric} {b.verb}; for {company} {a.metric} {a.moved}
    {company} bucks the {sector} trend of {b.higher} {b.metric}: its own {a.metric} {a.moved} {a.pct} %
    {company} {a.metric} {a.moved} {a.pct} % against a {b.pct} % {b.move} for its [closest|main] competitor
    == last-year | a+ b-=
    After a year in which {b.metric} {b.moved}, {company} says {a.metric} {a.moved} in {period}
    {company} {a.metric} {a.moved} {a.pct} %; a year ago they had {b.risen} {b.pct} %
    Last year {b.metric} at {company} {b.moved}. This year {a.metric} {a.moved}
    {company}: {a.metric} {a.moved} in {period}, a reversal of the {b.move} of the previous year
    Following last year's {b.pct} % {b.move}, {a.metric} at {company} {a.moved} in {period}
    == guidance | a+ | framed
    {company} expects {a.higher} {a.metric} in {period}
    {company} now sees {a.metric} {a.above} its earlier forecast
    {company} revises its forecast and says {a.metric} will {a.verb}
    management of {company} plans for a {a.move} in {a.metric} of about {a.pct} %
    chief executive {person} tells investors to count on {a.higher} {a.metric} at {company}
    {company} has changed its guidance and predicts a {a.pct} % {a.move} in {a.metric} for {period}
    {company} forecasts that {a.metric} will {a.verb} in {period}
    {company} budgets for {a.higher} {a.metric} next year
    == target
    <{company} ({ticker}) takes a large order from {other}|{other} takes a large order from {company} ({ticker})>
    <{company} ({ticker}) overtakes {other}|{other} overtakes {company} ({ticker})> in {place}
    Customers in {place} <leave {other} for {company} ({ticker})|leave {company} ({ticker}) for {other}>
    <{other} owes {company} ({ticker})|{company} ({ticker}) owes {other}> {amount} in damages, arbitrators say
    In {place}, <{company} ({ticker}) wins a tender over {other}|{other} wins a tender over {company} ({ticker})>
    <{other} loses its patent case to {company} ({ticker})|{company} ({ticker}) loses its patent case to {other}>
    == cause | framed
    a weaker currency <helps|hurts> {company} in {place}
    new tariffs in {place} <shield {company} from imports|shut {company} out of the market>
    {company} <profits from|suffers under> the shortage of [chips|labour|gas] in the {sector} sector
    strike at {other} <sends buyers to|starves of parts> {company}
    storm in {place} <spares|closes> the largest plant of {company}
    rising prices <are good news|are bad news> for {company}, says analyst {person}
    == business | framed
    {company} <signs|loses> supply contract worth {amount} in {place}
    {company} <hires|lays off> {count} people in {place} as demand <picks up|dries up>
    {company} <opens|shuts> a plant in {place}
    {company} <lifts|scraps> its dividend
    brokers turn <bullish|bearish> on {company} after {period}
    regulator in {place} <clears|blocks> new product of {company}
    {company} <repays a loan early|asks lenders for more time>, {person} says
    demand for products of {company} <outstrips supply|falls away> in {place}
    {company} is <winning|losing> customers in {place}
    a big investor <buys into|sells out of> {company}
    new product of {company} <sells well|flops> in {place}
    production at {company} <runs at full speed|is at a standstill> in {place}
    {company} <pays a special dividend|pays no dividend> for {period}
    {company} <wins approval|is refused approval> for its plans in {place}
    """,
)

_NEUTRAL: tuple[Template, ...] = families(
    "en",
    """
    == in-line | a0 | neutral
    {company} {a.metric} {a.moved} {a.pct} % in {period}, exactly as analysts had expected
    {a.Metric} at {company} {a.moved} in line with forecasts
    {company} {a.metric} {a.moved}, matching the consensus for {period}
    As announced in {month}, {a.metric} of {company} {a.moved}; the market had priced it in
    The {a.move} in {a.metric} at {company} holds no surprise, {person} says
    {company} confirms preliminary figures: {a.metric} {a.moved} {a.pct} %
    {a.Metric} {a.moved} at {company}, as everybody had expected
    {company} results meet forecasts to the cent as {a.metric} {a.moved}
    {company} {a.metric} {a.moved} just as forecast
    {a.Metric} {a.moved} at {company}; analysts had predicted precisely that
    No surprise from {company}: {a.metric} {a.moved} as expected in {period}
    {company} figures in line with consensus, {a.metric} {a.moved} {a.pct} %
    {company} meets expectations for {period} with {a.metric} {a.moving} {a.pct} %
    {a.Metric} at {company} {a.moved}, which matches market forecasts
    The market had fully expected that {a.metric} at {company} {a.moved}
    == flat | a0m | neutral
    {company} {a.metric} in {period} stood at {a.to}, the same as a year earlier
    {a.Metric} at {company} unchanged at {a.to} in {period}
    {company} keeps its forecast for {a.metric} unchanged
    {a.Metric} of {company} came to {a.to}, after {a.to} in the same period of last year
    {company} sees no change in {a.metric} over {period}
    {company} {a.metric} neither rose nor fell in {period}
    {a.Metric} stable at {company}
    {company} repeats its outlook for {a.metric} without changes
    {company} leaves its guidance for {a.metric} as it was
    {a.Metric} at {company} remain at the level of last year
    {company} {period}: {a.metric} unchanged from a year ago
    {company} reports the same {a.metric} as last year, {a.to}
    == agenda | neutral
    {company} to publish results for {period} on {day} {month}
    {company} will hold its annual meeting in {place} on {day} {month}
    {company} renames its {sector} unit in {place}
    {company} moves its head office to a new building in {place}
    {person} to present the strategy of {company} at a conference in {place}
    {company} changes the date of its report on {period} to {day} {month}
    {company} appoints {person} to lead investor relations from {day} {month}
    {company} issues the agenda of its shareholder meeting on {day} {month}
    {company} publishes the minutes of its meeting in {place}
    {company} sets {day} {month} as the date for its interim report
    {company} gives its website a new look
    {company} celebrates its anniversary in {place} on {day} {month}
    == other-company | a0 | neutral
    {other} and not {company} ({ticker}) was meant in the report that {a.metric} {a.moved}
    {a.Metric} at {other} {a.moved}; {company} ({ticker}), its neighbour in {place}, is not affected
    {company} ({ticker}) sold its stake in {other} long before {a.metric} there {a.moved}
    The news that {a.metric} {a.moved} concerns {other}, no longer a unit of {company} ({ticker})
    {a.Metric} of {other} {a.moved}, says {company} ({ticker}), which holds no shares in it
    Not {company} ({ticker}) but {other} is the firm whose {a.metric} {a.moved}
    {company} ({ticker}) hosts a conference where {other} reports that {a.metric} {a.moved}
    {other}, not to be confused with {company} ({ticker}), says its {a.metric} {a.moved}
    {company} ({ticker}) has no business with {other}, where {a.metric} {a.moved}
    {a.Metric} {a.moved} at {other}, without any effect on {company} ({ticker})
    """,
)

TEMPLATES: tuple[Template, ...] = (*_POLAR, *_NEUTRAL, *EVENTS, *LOOK_ALIKES)
