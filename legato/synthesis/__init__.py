"""Changes the input by its gradient: adversarial examples, dreams, styles. Pure functions from tensors to pictures."""

from legato.synthesis.adversarial import Aim as Aim
from legato.synthesis.adversarial import carlini_wagner as carlini_wagner
from legato.synthesis.adversarial import fgsm as fgsm
from legato.synthesis.adversarial import iterative as iterative
from legato.synthesis.adversarial import pgd as pgd
from legato.synthesis.adversarial import universal as universal
from legato.synthesis.dream import Dreaming as Dreaming
from legato.synthesis.dream import dream_of as dream_of
from legato.synthesis.style import Manner as Manner
from legato.synthesis.style import Painting as Painting
from legato.synthesis.style import transfer as transfer
from legato.synthesis.style_paint import Style as Style
from legato.synthesis.style_paint import paint as paint
