"""A name for a run that was given none: two words and a number, easy to say and to tell apart."""

import secrets
from typing import Final

_FIRST_WORDS: Final = """
able agile amber ancient arctic bold brave bright brisk calm candid clever coastal copper cosmic crisp
curious daring deep eager early earnest fair fearless fleet gentle glad golden grand hardy hidden honest
humble ivory jolly keen kind lively lucid lunar mellow merry mighty misty modest noble nimble northern
open patient placid polite proud quick quiet rapid rare robust royal rustic scarlet serene sharp silent
silver sincere smooth solar solid southern spry stately steady still stony sunny swift tidy tranquil
upbeat velvet vivid warm wise witty
"""
_SECOND_WORDS: Final = """
alder ash badger basalt beech birch bison boulder brook cedar cliff condor coral crane creek crow cypress
dale delta dolphin dune eagle elk elm falcon fern finch fjord forest fox geyser glacier goose granite
grove gull hare harbor hawk hazel heron hill ibis island jade juniper kestrel lagoon lake larch lark
lichen linden lynx maple marble marsh marten meadow mesa moose moss oak ocean opal osprey otter owl pebble
pine plover puffin quartz raven reef ridge river robin rowan sage salmon shore slate sparrow spruce stone
stork swan teal thrush tiger trout vale walnut whale willow wolf wren yew
"""
_FIRST: Final = tuple(_FIRST_WORDS.split())
_SECOND: Final = tuple(_SECOND_WORDS.split())


def run_name() -> str:
    """Such as ``steady-heron-417``."""
    return f"{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}-{secrets.randbelow(1000)}"
