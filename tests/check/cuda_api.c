/* Compiled by tests/check/cuda_api, never linked: every row of driver.def and rtc.def against cuda.h and
 * nvrtc.h. Types are compared whole, so an argument more, less or of another size does not compile. */
#include <cuda.h>
#include <nvrtc.h>

#include "cuda/driver.h"
#include "fake/fake.h"

/* dlsym is asked for the name as it stands, cuda.h makes cuMemAlloc cuMemAlloc_v2: a row without the version
 * has a longer name here. */
#define EXPANDED(symbol)    EXPANDED_TEXT(symbol)
#define EXPANDED_TEXT(text) #text
#define PGK_CALL(field, symbol, arguments)                                                                   \
    _Static_assert(sizeof EXPANDED(symbol) == sizeof #symbol, #symbol " has a later version");               \
    _Static_assert(                                                                                          \
        __builtin_types_compatible_p(__typeof__(((struct pgk_driver *)0)->field), __typeof__(symbol) *),     \
        #symbol);
#define PGK_RESULT(name, value, error, fault) _Static_assert(CUDA_ERROR_##name == value, #name);
#define PGK_VALUE(name, value)                _Static_assert((int)CU_##name == value, #name);
#include "cuda/driver.def"

#define PGK_CALL(field, symbol, type, arguments)                                                             \
    _Static_assert(__builtin_types_compatible_p(type(*) arguments, __typeof__(symbol) *), #symbol);
#define PGK_RESULT(name, value, error) _Static_assert(NVRTC_ERROR_##name == value, #name);
#include "cuda/rtc.def"

_Static_assert(__builtin_types_compatible_p(pgk_devptr, CUdeviceptr), "CUdeviceptr");
_Static_assert(sizeof(CUuuid) == sizeof((struct pgk_driver_device *)0)->uuid, "CUuuid");
_Static_assert(PGK_CU_MEMHOSTALLOC_PORTABLE == CU_MEMHOSTALLOC_PORTABLE, "portable");
_Static_assert(PGK_CU_MEMHOSTALLOC_DEVICEMAP == CU_MEMHOSTALLOC_DEVICEMAP, "device map");
_Static_assert(PGK_CU_MEMHOSTREGISTER_PORTABLE == CU_MEMHOSTREGISTER_PORTABLE, "portable");
_Static_assert(PGK_CU_MEMHOSTREGISTER_DEVICEMAP == CU_MEMHOSTREGISTER_DEVICEMAP, "device map");
