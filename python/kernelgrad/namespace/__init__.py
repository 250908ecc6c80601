"""The public array functions: those of the array API standard and a few of NumPy's.

Each is an operation of ops made to take scalars, lists and other libraries' arrays, and to give
Tensors always.
"""

from kernelgrad.namespace import dtypes, elementwise, inspection, manipulation, reductions
from kernelgrad.namespace.dtypes import *
from kernelgrad.namespace.elementwise import *
from kernelgrad.namespace.inspection import *
from kernelgrad.namespace.manipulation import *
from kernelgrad.namespace.reductions import *

__all__: list[str] = []
__all__ += dtypes.__all__
__all__ += elementwise.__all__
__all__ += inspection.__all__
__all__ += manipulation.__all__
__all__ += reductions.__all__
