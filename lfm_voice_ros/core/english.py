"""English words by what may come after them: what core/end_of_turn.py needs to know of the language."""

from __future__ import annotations

import re


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


FILLERS = re.compile(r"u+[hm]+|e+r+m?|h+m+|mm+|a+h+|eh")
NUMBERS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half"
)
#: A number that ends a sentence: "seven times eight", "it starts at nine".
BEFORE_NUMBER = words("times plus minus divided by at number until is")
DETERMINERS = words("the a an my your our their its every another each whose")
SUBJECTS = words("i we he she they")
PRONOUNS = SUBJECTS | words("you it this that there")
AUXILIARIES = words(
    "is are was were am be been can could will would shall should may might must do does did has have had "
    "isn't aren't wasn't don't doesn't didn't can't couldn't won't wouldn't i'm you're he's she's it's we're "
    "they're that's there's what's who's where's how's i've you've we've they've i'll you'll he'll she'll "
    "it'll we'll they'll i'd you'd he'd she'd we'd they'd let's let"
)
#: No sentence ends with these, whatever stands before.
OPEN = words(
    "and or but then because if whether although though while unless until than as of to into onto towards "
    "toward from by at with without during between against upon per very really quite too extremely almost "
    "usually always rather such which other same first next both either neither nearly about couple kind sort "
    "piece cup glass bottle pair"
) | words(
    "i'm you're he's we're they're i've you've we've they've i'll you'll he'll she'll it'll we'll they'll i'd "
    "you'd he'd she'd we'd they'd let's lets"
)
#: These end questions about the place, the thing or the person: "where are you from".
STRANDED = words("from at with about to of for in on")
QUESTION_WORDS = words("what who where when why how which whose")
#: A verb that something must follow, in a command or a statement.
TRANSITIVE = words(
    "want wants need needs like likes love loves have has had tell tells give gives show shows say says said "
    "make makes take takes put puts get gets bring brings turn look move set point tilt pan rotate swivel "
    "shake raise lift lower face lost find found told gave made ordered think thinks believe believes wonder "
    "sing wrote writes call called"
)
VERBS = (
    TRANSITIVE
    | AUXILIARIES
    | words(
        "go goes went gone come comes came see sees saw seen know knows knew live lives lived work works worked "
        "stop nod center stay stays eat drink drinks play plays played help helps talk talks read reads write run "
        "runs walk sleep sit stand start starts started feel feels felt meet met met use used try tried ask asked "
        "hear heard thank thanks watched watch bought buy sold left drove drive cooked cook changed change rain "
        "rains snow snows arrive arrives leave leaves open close closed begin began becomes became seem seems "
        "wait waits waited listen return glance built build hope hopes guess mean means happened happens starts "
        "speak speaks spoke teach taught learn learned broke broken cost costs weigh weighs"
    )
)
ADJECTIVES = words(
    "big small little large new old young good bad nice great long short high low red blue green white black "
    "yellow clever smart funny beautiful interesting important different whole last next best favourite "
    "favorite second third million other only main real clean dark warm cold hot happy sad early late own "
    "local current"
)
#: Commands to the head begin with these.
MOVES = words("turn move rotate tilt pan point swivel set look looks glance raise lift lower shake nod center")
#: Something is given to somebody: "show you" is followed by what.
GIVING = words("show tell give bring send buy ask")
#: "It's a pity that" goes on; "look at that" doesn't.
POINTING = words("this that these those")
AT = words("do did does is was are were about like at of with to in on for what say said know see all love hate")
OF_COMMANDS = MOVES | words(
    "left right up down upwards downwards around back centre middle straight forward ahead degrees stop tell "
    "say what time date go face"
)
POLITE = words("please robot hey okay ok now so just kindly well hi hello and then first also maybe")
OPENERS = words(
    "well actually anyway maybe perhaps probably so now good hey robot please also then first honestly basically"
)
SUBORDINATE = words("if because although while after before since unless instead when as though")
#: Said before a sentence.
BEFORE = frozenset(
    (
        "let's see", "lets see", "let me see", "let me think", "to be honest", "you know", "i mean", "all right now",
        "okay now", "hey robot", "hello robot", "i need you", "i want you", "i would like you", "i'd like you",
        "by the way", "excuse me",
    )
)  # fmt: skip
#: Complete though short.
PHRASES = frozenset(
    (
        "thank you", "thank you very much", "thanks", "thanks a lot", "many thanks", "good morning", "good night",
        "good evening", "good afternoon", "goodbye", "bye", "bye bye", "see you", "see you later", "yes please",
        "no thanks", "no thank you", "never mind", "help", "how are you doing",
    )
)  # fmt: skip
QUESTION = re.compile(
    r"(?:how|who|where) are (?:you|they)"
    r"|how (?:old|tall|big|heavy|smart|fast) are you"
    r"|what(?: is|'s) your name|what can you do|where do you (?:live|come from)|where are you(?: from| looking)?"
    r"|(?:can you |could you |please )*tell me (?:a|another|the) joke|(?:can|do) you (?:hear|see) me"
)
