"""Words that carry more of a text's meaning than their number suggests, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from hft_plugins.augmenters.longest import word_lengths
from hft_plugins.augmenters.words import is_clitic, plain, segmented

_NEGATIONS = """
    no not none nor never neither nobody nothing nowhere n't nt cannot without hardly barely scarcely seldom
    rarely ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't
    shan't shouldn't wasn't weren't won't wouldn't aint arent cant couldnt didnt doesnt dont hadnt hasnt havent
    isnt shouldnt wasnt werent wont wouldnt ca wo
    不 没 無 无 别 莫 勿 未 非 否 甭 沒 別 没有 不是 不会 不能 不要 不用 不再 不太 不够 从不 从未 并非 并不 毫不
    毫无 绝不 决不 未必 未曾 无法 不曾 不必
"""
NEGATIONS = frozenset(_NEGATIONS.split())
"""Negations, which also random-delete leaves in place; `wo` and `ca` are halves of a split `wo n't`, `ca n't`."""
_NEGATING = re.compile(f"[{''.join(word for word in NEGATIONS if len(word) == 1)}]")
_NOT_NEGATING = re.compile(
    "非常|特别|特別|非洲|非凡|分别|分別|区别|區別|差别|差別|级别|類別|类别|性别|性別|识别|識別|个别|個別|告别|别人|别墅|未来|未來|无论|無論|无线|無線"
)
"""What has such a character, and negates nothing."""

_DEGREES = """
    very too so quite rather really almost nearly just only even more most less least much many few little
    enough extremely highly totally completely absolutely entirely fully partly slightly somewhat fairly pretty
    mostly merely simply always often sometimes usually ever still already again also well
    很 太 真 更 最 极 挺 好 超 较 稍 非常 十分 特别 相当 比较 有点 有些 一点 稍微 略微 极其 极为 尤其 格外 更加
    越来越 几乎 差点 几近 完全 绝对 总是 经常 有时 偶尔 一直 仍然 已经 还是 只是 仅仅 最好 最差
"""
_NUMBERS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
    billion trillion dozen half third quarter first second once twice double triple
    零 一 二 三 四 五 六 七 八 九 十 百 千 万 亿 两 半 第一 第二 第三 一个 两个 一次 两次 一半
"""
_FUNCTION_WORDS = """
    a an the this that these those some any all both each every either another other others such same own i me
    my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours
    ourselves they them their theirs themselves who whom whose which what where when why how whoever whatever
    whichever and or but if because although though while whereas unless until since as than then of in on at by
    for with about against between into through during before after above below to from up down out off over
    under within along across behind beyond near toward towards upon per via despite except like unlike amid
    among am is are was were be been being have has had having do does did doing done will would shall should
    can could may might must ought need dare let get got go going gone 's 're 've 'll 'd 'm im ive id instead
    non kind sort lot lots there here now yes ok please thank thanks
    的 了 着 过 地 得 是 在 有 和 与 或 而 但 但是 因为 所以 如果 虽然 然而 而且 并且 或者 以及 关于 对于 由于
    为了 我 你 您 他 她 它 我们 你们 他们 她们 它们 自己 这 那 这个 那个 这些 那些 什么 怎么 哪里 谁 吗 呢 吧 啊
    呀 嘛 就 都 也 还 又 再 才 把 被 给 让 从 向 到 对 可以 可能 应该 必须 需要
"""

DEGREES = frozenset(_DEGREES.split())
NUMBERS = frozenset(_NUMBERS.split())
PROTECTED = NEGATIONS.union(DEGREES, NUMBERS, _FUNCTION_WORDS.split())
"""Negations, degree words, numbers and function words: no synonym replaces them."""
_STAYING = NEGATIONS.union(DEGREES, NUMBERS)
_LENGTHS = word_lengths(PROTECTED)


def negates(text: str) -> bool:
    """Whether a word is a negation, or has a Chinese one within: 不满意, 咬不动."""
    return plain(text) in NEGATIONS or bool(_NEGATING.search(text) and _NEGATING.search(_NOT_NEGATING.sub("", text)))


def may_come_in(word: str) -> bool:
    """Whether a word can stand for another: no negation, degree word, number or function word comes into a text."""
    return plain(word) not in PROTECTED and not negates(word)


def pieces(text: str) -> list[tuple[int, int, str]]:
    """Give start, end and plain form of each word; in unspaced scripts of each character, protected words being whole."""
    return segmented(text, (), PROTECTED, _LENGTHS)


@lru_cache(maxsize=1 << 16)  # texts have the same words again and again
def stays(word: str) -> bool:
    """Whether a word, in its plain form, is to stay where it is, and as it is: a negation, a degree word or a number."""
    return word in _STAYING or negates(word)


def gaps(found: Sequence[tuple[int, int, str]]) -> list[int]:
    """Where something may be put before a word, of `pieces` or others: not before a clitic, nor behind a word that stays and
    says something of the next one."""
    before = ["", *(word for _, _, word in found)]
    return [
        start
        for previous, (start, _, word) in zip(before, found, strict=False)
        if not (is_clitic(word) or stays(previous))
    ]
