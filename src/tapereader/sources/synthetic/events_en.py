"""English risk-event templates of the synthetic market, their look-alikes, and the frames that affirm or deny.

The notation and the rule for the split are those of the other English templates.
"""

from __future__ import annotations

from tapereader.sources.synthetic.grammar import Template, families

EVENTS: tuple[Template, ...] = families(
    "en",
    """
    == profit-warning | framed | negative | event
    {company} issues a profit warning for {period}
    {company} [slashes|cuts] its [profit outlook|earnings forecast] and now sees [far|much] lower earnings
    [results|earnings] for {period} will be well short of plan, {company} cautions shareholders
    {company} withdraws its full-year profit forecast as business in {place} worsens
    {company} tells the market it can no longer reach its [profit goal|earnings target]
    {company} warns that profit will [collapse|be much lower than planned]
    {company} lowers its profit guidance for the [second|third] time this year
    {company} prepares investors for profit far below its forecast
    == default | framed | negative | event
    {company} fails to pay interest due on its bond of {amount}
    {company} [defaults on|misses a payment on] a loan of {amount}
    bondholders of {company} are left without payment as the grace period runs out
    {company} files for protection from creditors in {place}
    {company} suspends [repayment of|payments on] debt worth {amount}
    {company} is insolvent and [goes to court|files for bankruptcy] in {place}
    {company} cannot repay {amount} to its lenders
    creditors of {company} do not get their money as it defaults
    == fraud-investigation | framed | negative | event
    prosecutors in {place} open a fraud inquiry into {company}
    police search offices of {company} over suspected false accounting
    {company} is under investigation for [invented|fictitious] sales of {amount}
    authorities suspect {company} of misleading investors about {period}
    fake invoices lead to a criminal probe at {company}
    [a fraud squad|an accounting watchdog] examines the books of {company} for forgery
    {person} of {company} is arrested on suspicion of fraud
    investigators look into bribes paid by {company} in {place}
    == litigation | framed | negative | event
    shareholders sue {company} in {place} for {amount}
    {company} faces a [class action|lawsuit] over its pension plan
    {other} takes {company} to court, seeking {amount} in damages
    former suppliers file a lawsuit against {company} in {place}
    {company} is named as defendant in a patent case brought by {other}
    {company} must stand trial as {other} claims {amount}
    customers start a legal case against {company} in {place}
    {other} brings a damages suit of {amount} against {company}
    == rating-downgrade | framed | negative | event
    {agency} cuts [the rating of|its credit rating for] {company} to {low_grade} from {high_grade}
    {agency} downgrades the debt of {company} by {notches} notches
    the credit rating of {company} is lowered to {low_grade} by {agency}
    {company} loses its {high_grade} rating at {agency}
    {agency} takes {company} down to {low_grade}, citing debt of {amount}
    {company} falls to junk as {agency} lowers its rating
    {agency} reduces its credit grade for {company}
    {company} suffers a downgrade by {agency} to {low_grade}
    == management-departure | framed | negative | event
    chief executive {person} leaves {company} with immediate effect
    {company} finance chief {person} resigns after {period}
    {person} quits as head of {company} with no successor named
    the board of {company} dismisses chief operating officer {person}
    {company} loses its chairman as {person} walks out
    {person} steps down as [chief executive|president] of {company}
    {company} parts with its finance chief {person}
    [two|three] board members of {company} resign at once
    == regulatory-penalty | framed | negative | event
    a regulator in {place} fines {company} {amount}
    {company} is ordered to pay a penalty of {amount} for late disclosure
    a watchdog punishes {company} with a fine of {amount} for breaking competition rules
    {company} loses its licence in {place} as a sanction by the supervisor
    supervisors impose a penalty of {amount} on {company} over money-laundering controls
    the antitrust authority fines {company} for price fixing
    {company} must pay {amount} to the regulator for breaking the rules
    the central bank of {place} sanctions {company}
    == product-recall | framed | negative | event
    {company} recalls {count} units sold in {place}
    {company} pulls a product from shops after safety complaints
    a defect forces {company} to take back {count} items
    {company} asks customers in {place} to return faulty goods
    {company} withdraws {count} contaminated packages from sale
    {company} calls back {count} products with a safety fault
    dangerous parts make {company} recall a product in {place}
    {company} takes an unsafe product off the market
    == cyber-incident | framed | negative | event
    hackers steal records of {count} customers of {company}
    {company} is hit by a ransomware attack in {place}
    a data breach at {company} exposes {count} accounts
    {company} shuts down computer systems after an intrusion
    attackers demand {amount} from {company} for stolen files
    criminals break into the network of {company}
    a computer virus stops {company} in {place}
    passwords of {count} users leak from {company} after a hack
    """,
)

# They talk of an event that did not happen, is over, or concerns somebody else.
LOOK_ALIKES: tuple[Template, ...] = families(
    "en",
    """
    == look-alike-neutral | neutral
    {company} denies that a profit warning for {period} is near
    Report of a default at {company} was an error, agency corrects
    {company} says hackers did not get into its systems
    {company} hires {person} to advise on the recall of a product at {other}
    {person} to stay as chief executive, {company} says after talk of a departure
    {company} comments on fraud inquiry at {other}: not involved
    {company} updates its manual on how to handle a data breach
    Penalty for {other} has no effect on {company} ({ticker}), {person} says
    {company} explains its policy on lawsuits in {place}
    {agency} keeps {company} at {low_grade}, sees no reason for a downgrade
    Rumoured police search at {company} did not take place, {person} says
    No plan for a recall at {company}, {person} says
    {company} is not among the firms sued by {other}
    {company} was never under investigation, prosecutors say
    {company} tests its defences against hackers in a yearly drill
    Chief executive {person} of {company} does not resign
    {company} publishes its yearly list of pending lawsuits without changes
    == look-alike-good | framed | positive
    {agency} upgrades {company} to {high_grade} from {low_grade}
    {company} settles the lawsuit of {other}, freeing {amount} of provisions
    prosecutors drop the fraud inquiry into {company}
    a court in {place} throws out the class action against {company}
    {company} gets back a fine of {amount} on appeal
    {company} repays in full the bond on which it was feared to default
    {company} lifts its profit warning of {month}
    {company} calls off its recall after tests find no defect
    {company} fends off a cyber attack without any loss of data
    {agency} raises the rating of {company} by {notches} notches
    an inquiry clears {company} of false accounting
    the regulator cancels the penalty of {company}
    chief executive {person} stays at {company} after all
    {company} wins its lawsuit against {other}
    {other} withdraws its lawsuit against {company}
    the fine of {company} is struck down by a court in {place}
    {company} pays off its defaulted loan in full
    {agency} lifts the credit rating of {company} to {high_grade}
    the fraud case against {company} is closed for lack of evidence
    {company} wins acquittal in {place}
    """,
)

# Frames that leave what they hold as it is, and frames that take it back; many differ by a word or its place.
FRAMES: tuple[Template, ...] = families(
    "en",
    """
    == affirmed
    {clause}, filing shows
    It is true that {clause}, spokesman insists
    Report that {clause} is correct, {person} says
    Breaking: {clause}
    {person} confirms that {clause}
    No longer a rumour: {clause}
    Speculation that {clause} is well founded
    Nobody denies that {clause}
    There is evidence that {clause}, exchange finds
    Newspaper stands by its claim that {clause}
    It is now certain that {clause}
    Management does not dispute that {clause}
    Confirmed: {clause}
    Documents prove that {clause}
    == voided
    The company denies that {clause}
    It is not true that {clause}, spokesman insists
    Report that {clause} is false, {person} says
    Only a rumour: {clause}
    Nobody confirms that {clause}
    It is unclear whether {clause}
    Speculation that {clause} is unfounded
    {person} disputes that {clause}
    There is no evidence that {clause}, exchange finds
    Newspaper withdraws its claim that {clause}
    It is by no means certain that {clause}
    Management does not confirm that {clause}
    Denied: {clause}
    Documents refute that {clause}
    """,
)
