#include "p.h"
void jr_messages_placeholder(void) {}
