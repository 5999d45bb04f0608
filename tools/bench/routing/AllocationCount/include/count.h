// How many blocks of memory the process has asked for since its start.
long allocations(void);
