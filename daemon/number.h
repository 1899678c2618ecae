#include "kernels/number.h"
