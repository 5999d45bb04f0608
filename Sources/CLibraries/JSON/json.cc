#include "junction_json.h"
