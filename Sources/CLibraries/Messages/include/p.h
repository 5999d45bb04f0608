void jr_messages_placeholder(void);
