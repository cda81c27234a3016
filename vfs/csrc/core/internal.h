/* All headers that the files of the core share, folder by folder. */
#ifndef RL_INTERNAL_H
#define RL_INTERNAL_H

#include "base/base.h"
#include "layers/layers.h"
#include "walk/walk.h"
#include "answer/answer.h"
#include "change/change.h"
#include "cache/cache.h"
#include "proc/proc.h"

#endif
