/* engines.h - options of the verbs that compute: which indicators, which engine, which sessions. */
#ifndef POLYCTL_ENGINES_H
#define POLYCTL_ENGINES_H

#include "kernels/engine.h"
#include "polyctl.h"

#define ENGINE_WHY_SIZE 256

/* The plan of --indicators, a list with commas; without: the default set. Exit code, said. */
int engine_plan(const struct args *args, struct pgk_plan **ret);

/* The nine indicators that the engines' figures are given for. */
#define ENGINE_NINE "sma_20,ema_12,rsi_14,macd,bb,atr_14,stoch,obv,vwap"

/* The same, with another list in place of the default set. */
int engine_plan_or(const struct args *args, const char *list, struct pgk_plan **ret);

/* --engine; false: no such engine (said). */
bool engine_kind(const struct args *args, enum pgk_kind *ret);

/* --session; false: no such session (said). */
bool engine_session(const struct args *args, enum pgd_session *ret);

#endif
