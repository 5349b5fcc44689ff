"""State what is done with content of a message that is not sent as it is: the first words of an adjustment."""

RECORDS_LEFT_OUT = "records of another provider left out"
REASONING_LEFT_OUT = "reasoning outside assistant messages left out"
CALLS_LEFT_OUT = "tool calls outside assistant messages left out"
MEDIA_LEFT_OUT = "content of assistant messages that can't be sent left out"
UNSEEN_DESCRIBED = "content of tool results that the model can't see described in words"
