"""Networks whose values have names, for tests of what is made of them."""

HEAD = "sewdsl 1\ninput 2x8x8\nsteps 3\nneuron IF\n"

_TEXTS = {
    "chain": "let low = c4k3-BN-SN\nlet high = low-c6k3-BN-SN\nbody CAT[ high-c4k1 | low ]-FC3",
    "neck": """\
block Up(c)[ low | high ] = CAT[ low | high-c$(c)k1-BN-SN ]-c$(c)k3-BN-SN
let p3 = c4k3-BN-SN
let p4 = p3-SEW Block (c6)
let p5 = p4-SEW Block (c8)
let n4 = Up (c6)[ p4 | p5 ]
let n3 = Up (c4)[ p3 | n4 ]
body CAT[ n3-GAP | n4-GAP | p5-GAP ]-FC3""",
    "cells": """\
block Conv(c=in) = SN-c$(c)k3-BN
block Cell {
    let a1 = Conv
    let a2 = ADD[ Conv | a1-Conv ]
    give ADD[ id | a1-Conv | a2-APk3s1p1 ]
}
body c4k3-BN-{Cell}*2-SN-FC3""",
    "operands": """\
block Mix(c)[ a | b ] {
    let sum = ADD[ a-c$(c)k1 | b-c$(c)k1 ]
    give CAT[ sum | b | sum-BN-SN ]
}
let x = c4k3-SN
let attention = x-Mix (c4)[ id | id-BN ]
body Mix (c3)[ attention-c4k1 | CAT[ attention | x ]-SN ]-{Mix (c4)[ id | SN ]}*2-FC3""",
    "python's words": "let class = c4k3-SN\nlet self = class-BN\nbody MAX[ class | self-SN | id-c4k1 ]-FC3",
    "shortcut": "let a = c4k3-BN-SN\nbody a-ADD[ c4k3-BN-SN | id ]-g[ c4k3-BN-SN | a ]-FC3",
    "nothing flows in": "let a = c4k3-SN\nlet b = c4k1-SN\nbody CAT[ ADD[ a | b ] | MUL[ b | a-SN ] ]-FC3",
    "gate": "let gate = MEAN(over=places)-c2k1\nbody MUL[ gate | id ]-CAT[ id-SN | MUL[ id | gate ] ]-FC3",
}
NAMED = {name: f"{HEAD}{text}\n" for name, text in _TEXTS.items()}
"""Files: what several places read, in a file, in blocks, in repeats."""
