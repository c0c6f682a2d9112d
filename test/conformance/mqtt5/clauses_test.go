package mqtt5

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pulso/test/conformance/wire"
)

// Who a statement binds.
const (
	server = "server"
	client = "client"
	both   = "both"
)

// A clause is a normative statement of MQTT 5: its number, whom it binds, what it wants in brief, and the test that holds the
// server to it or, where there is none, why.
type clause struct {
	id, who, says string
	test          func(*suite)
	untested      string
}

// Why a statement has no test.
const (
	ofClient  = "binds the client"
	noAuth    = "the server offers no enhanced authentication (see MQTT-4.12.0-1) and so never sends AUTH"
	allQoS    = "the server supports every QoS"
	retains   = "the server supports retained messages"
	noLengths = "a string's length has two bytes: a longer one cannot be put on the wire"
)

// clauses are all statements of the standard's appendix B, in its order.
var clauses = []clause{
	{"MQTT-1.5.4-1", both, "strings are well-formed UTF-8 without surrogates", stringsWellFormed, ""},
	{"MQTT-1.5.4-2", both, "strings do not contain U+0000", stringsWithoutNull, ""},
	{"MQTT-1.5.4-3", both, "a byte order mark is a character like others and stays", stringsKeepBOM, ""},
	{"MQTT-1.5.5-1", both, "variable byte integers are as short as possible", shortestVarInt, ""},
	{"MQTT-1.5.7-1", both, "both strings of a pair are UTF-8 strings", pairsWellFormed, ""},
	{"MQTT-2.1.3-1", both, "reserved flags have the listed values", reservedFlags, ""},
	{"MQTT-2.2.1-2", both, "no packet id at QoS 0", noIDAtQoS0, ""},
	{"MQTT-2.2.1-3", client, "new packets of a client have an unused packet id that is not 0", idNotZero, ""},
	{"MQTT-2.2.1-4", server, "new PUBLISH packets of a server have an unused packet id that is not 0", unusedIDs, ""},
	{"MQTT-2.2.1-5", both, "acknowledgements carry the packet id of the PUBLISH", sameIDs, ""},
	{"MQTT-2.2.1-6", server, "SUBACK and UNSUBACK carry the packet id of the request", sameIDs, ""},
	{"MQTT-2.2.2-1", both, "no properties means a property length of zero", propertyLengthZero, ""},
	{"MQTT-3.1.0-1", client, "the first packet is CONNECT", connectFirst, ""},
	{"MQTT-3.1.0-2", server, "a second CONNECT is a protocol error", connectTwice, ""},
	{"MQTT-3.1.2-1", both, "the protocol name is MQTT, else the connection is closed", protocolName, ""},
	{"MQTT-3.1.2-2", server, "a protocol version that is not accepted ends the connection", protocolVersion, ""},
	{"MQTT-3.1.2-3", server, "the reserved connect flag is checked", connectReserved, ""},
	{"MQTT-3.1.2-4", both, "Clean Start discards an existing session", cleanStart, ""},
	{"MQTT-3.1.2-5", server, "without Clean Start an existing session goes on", resumeSession, ""},
	{"MQTT-3.1.2-6", server, "without Clean Start and without a session a new one begins", resumeNothing, ""},
	{"MQTT-3.1.2-7", server, "a will is kept with the session", willPublished, ""},
	{"MQTT-3.1.2-8", server, "the will is published when the connection ends, but for a normal DISCONNECT", willPublished, ""},
	{"MQTT-3.1.2-9", both, "with the will flag, QoS and retain count, and topic and payload are there", willFields, ""},
	{"MQTT-3.1.2-10", server, "a will that was published or discarded is removed", willRemoved, ""},
	{"MQTT-3.1.2-11", both, "without the will flag the will QoS is 0", willQoSWithoutWill, ""},
	{"MQTT-3.1.2-12", both, "the will QoS is 0, 1 or 2", willQoS, ""},
	{"MQTT-3.1.2-13", both, "without the will flag the will retain flag is 0", willRetainWithoutWill, ""},
	{"MQTT-3.1.2-14", server, "without will retain the will is not retained", willNotRetained, ""},
	{"MQTT-3.1.2-15", server, "with will retain the will is retained", willRetained, ""},
	{"MQTT-3.1.2-16", both, "without its flag there is no user name", userFlags, ""},
	{"MQTT-3.1.2-17", both, "with its flag there is a user name", userFlags, ""},
	{"MQTT-3.1.2-18", both, "without its flag there is no password", passwordFlags, ""},
	{"MQTT-3.1.2-19", both, "with its flag there is a password", passwordFlags, ""},
	{"MQTT-3.1.2-20", client, "a client that has nothing to send sends PINGREQ", nil, ofClient},
	{"MQTT-3.1.2-21", client, "a client obeys the server's keep alive", nil, ofClient},
	{"MQTT-3.1.2-22", server, "nothing for one and a half keep alives ends the connection as if the network had failed", keepAlive, ""},
	{"MQTT-3.1.2-23", both, "the session outlives the connection if its expiry is above 0", sessionStored, ""},
	{"MQTT-3.1.2-24", server, "nothing larger than the client's maximum packet size is sent", maximumPacketSize, ""},
	{"MQTT-3.1.2-25", server, "a message too large for a client counts as delivered", tooLargeIsDone, ""},
	{"MQTT-3.1.2-26", server, "no topic alias above the client's maximum", aliasesWithinMaximum, ""},
	{"MQTT-3.1.2-27", server, "no topic alias without a maximum", noAliases, ""},
	{"MQTT-3.1.2-28", server, "no response information unless requested", noResponseInformation, ""},
	{"MQTT-3.1.2-29", server, "no reason strings and user properties on acknowledgements if not wanted", noProblemInformation, ""},
	{"MQTT-3.1.2-30", client, "only AUTH and DISCONNECT before CONNACK with an authentication method", nil, ofClient},
	{"MQTT-3.1.3-1", both, "the payload's fields are in the order given", connectFieldOrder, ""},
	{"MQTT-3.1.3-2", both, "the client id identifies the session", clientIDIsSession, ""},
	{"MQTT-3.1.3-3", both, "the client id is there", clientIDPresent, ""},
	{"MQTT-3.1.3-4", both, "the client id is a UTF-8 string", clientIDString, ""},
	{"MQTT-3.1.3-5", server, "client ids of 1 to 23 letters and digits are accepted", clientIDLetters, ""},
	{"MQTT-3.1.3-6", server, "an empty client id is replaced by a unique one", assignedID, ""},
	{"MQTT-3.1.3-7", server, "the assigned client id is returned and counts as the client's", assignedIDCounts, ""},
	{"MQTT-3.1.3-8", server, "a client id that is rejected ends the connection", clientIDRejected, ""},
	{"MQTT-3.1.3-9", server, "a new connection within the will delay prevents the will", willDelayPrevents, ""},
	{"MQTT-3.1.3-10", server, "a will's user properties keep their order", willProperties, ""},
	{"MQTT-3.1.3-11", both, "the will topic is a UTF-8 string", willTopicString, ""},
	{"MQTT-3.1.3-12", both, "the user name is a UTF-8 string", userNameString, ""},
	{"MQTT-3.1.4-1", server, "a CONNECT that is not as described ends the connection", connectMalformed, ""},
	{"MQTT-3.1.4-2", server, "a CONNECT that fails further checks ends the connection", authMethodRefused, ""},
	{"MQTT-3.1.4-3", server, "a client that connects again takes over from its older connection, which is closed", takeover, ""},
	{"MQTT-3.1.4-4", server, "Clean Start is carried out", cleanStartAtTakeover, ""},
	{"MQTT-3.1.4-5", server, "an accepted CONNECT is acknowledged with success", connackSuccess, ""},
	{"MQTT-3.1.4-6", server, "nothing behind a rejected CONNECT is processed", nothingAfterRejection, ""},
	{"MQTT-3.2.0-1", server, "CONNACK comes before anything else", connackFirst, ""},
	{"MQTT-3.2.0-2", server, "one CONNACK a connection", connectTwice, ""},
	{"MQTT-3.2.2-1", server, "reserved CONNACK flags are 0", connackSuccess, ""},
	{"MQTT-3.2.2-2", server, "session present is 0 after Clean Start", cleanStart, ""},
	{"MQTT-3.2.2-3", server, "session present tells whether there was a session", sessionPresent, ""},
	{"MQTT-3.2.2-4", client, "a client without a session closes if there is one", nil, ofClient},
	{"MQTT-3.2.2-5", client, "a client discards its session if there is none", nil, ofClient},
	{"MQTT-3.2.2-6", server, "session present is 0 beside an error", errorWithoutPresent, ""},
	{"MQTT-3.2.2-7", server, "an error in CONNACK ends the connection", errorWithoutPresent, ""},
	{"MQTT-3.2.2-8", server, "CONNACK has a listed reason code", errorWithoutPresent, ""},
	{"MQTT-3.2.2-9", server, "a server without QoS 1 or 2 says so", maximumQoS, ""},
	{"MQTT-3.2.2-10", server, "a server without QoS 1 or 2 accepts subscriptions to them", maximumQoS, ""},
	{"MQTT-3.2.2-11", client, "a client keeps to the maximum QoS", nil, ofClient},
	{"MQTT-3.2.2-12", server, "a will beyond the maximum QoS is refused", nil, allQoS},
	{"MQTT-3.2.2-13", server, "a retained will is refused where there are no retained messages", nil, retains},
	{"MQTT-3.2.2-14", client, "a client does not retain where that is unavailable", nil, ofClient},
	{"MQTT-3.2.2-15", client, "a client keeps to the server's maximum packet size", tooLargeForServer, ""},
	{"MQTT-3.2.2-16", server, "an assigned client id is new", assignedID, ""},
	{"MQTT-3.2.2-17", client, "a client keeps to the topic alias maximum", aliasTooHigh, ""},
	{"MQTT-3.2.2-18", client, "a client uses no topic alias without a maximum", aliasTooHigh, ""},
	{"MQTT-3.2.2-19", server, "no reason string that makes CONNACK too large", smallConnack, ""},
	{"MQTT-3.2.2-20", server, "no user properties that make CONNACK too large", smallConnack, ""},
	{"MQTT-3.2.2-21", client, "a client obeys the server's keep alive", nil, ofClient},
	{"MQTT-3.2.2-22", server, "without a keep alive of its own the server uses the client's", keepAlive, ""},
	{"MQTT-3.3.1-1", both, "DUP is set when a PUBLISH is sent again", redeliverDup, ""},
	{"MQTT-3.3.1-2", both, "DUP is 0 at QoS 0", dupAtQoS0, ""},
	{"MQTT-3.3.1-3", both, "DUP is not passed on", dupNotPassedOn, ""},
	{"MQTT-3.3.1-4", both, "there is no QoS 3", publishQoS3, ""},
	{"MQTT-3.3.1-5", server, "a retained message replaces the one before, with its QoS", retainReplaces, ""},
	{"MQTT-3.3.1-6", server, "an empty retained message removes the one before", retainRemoved, ""},
	{"MQTT-3.3.1-7", server, "an empty message is not retained", retainRemoved, ""},
	{"MQTT-3.3.1-8", server, "a message without retain leaves the retained one alone", retainUntouched, ""},
	{"MQTT-3.3.1-9", server, "retain handling 0 sends the retained messages", retainHandling0, ""},
	{"MQTT-3.3.1-10", server, "retain handling 1 sends them for new subscriptions", retainHandling1, ""},
	{"MQTT-3.3.1-11", server, "retain handling 2 does not send them", retainHandling2, ""},
	{"MQTT-3.3.1-12", server, "without retain as published the flag is cleared", retainCleared, ""},
	{"MQTT-3.3.1-13", server, "with retain as published the flag stays", retainAsPublished, ""},
	{"MQTT-3.3.2-1", both, "the topic comes first and is a UTF-8 string", topicFirst, ""},
	{"MQTT-3.3.2-2", both, "no wildcards in topics", topicWildcards, ""},
	{"MQTT-3.3.2-3", server, "a message's topic matches the subscription", topicMatches, ""},
	{"MQTT-3.3.2-4", server, "the payload format is passed on", passedOn(wire.PayloadFormat), ""},
	{"MQTT-3.3.2-5", server, "an expired message is not delivered", messageExpires, ""},
	{"MQTT-3.3.2-6", server, "the message expiry is less by the time waited", messageExpiryCounts, ""},
	{"MQTT-3.3.2-7", both, "topic aliases end with the connection", aliasNotCarried, ""},
	{"MQTT-3.3.2-8", both, "there is no topic alias 0", aliasZero, ""},
	{"MQTT-3.3.2-9", client, "a client keeps to the topic alias maximum", aliasTooHigh, ""},
	{"MQTT-3.3.2-10", client, "a client accepts aliases up to its maximum", nil, ofClient},
	{"MQTT-3.3.2-11", server, "a server keeps to the client's topic alias maximum", aliasesWithinMaximum, ""},
	{"MQTT-3.3.2-12", server, "a server accepts aliases up to its maximum", aliasesAccepted, ""},
	{"MQTT-3.3.2-13", both, "the response topic is a UTF-8 string", responseTopicString, ""},
	{"MQTT-3.3.2-14", both, "no wildcards in response topics", responseTopicWildcards, ""},
	{"MQTT-3.3.2-15", server, "the response topic is passed on", passedOn(wire.ResponseTopic), ""},
	{"MQTT-3.3.2-16", server, "correlation data is passed on", passedOn(wire.CorrelationData), ""},
	{"MQTT-3.3.2-17", server, "user properties are passed on", passedOn(wire.UserProperty), ""},
	{"MQTT-3.3.2-18", server, "user properties keep their order", passedOn(wire.UserProperty), ""},
	{"MQTT-3.3.2-19", both, "the content type is a UTF-8 string", contentTypeString, ""},
	{"MQTT-3.3.2-20", server, "the content type is passed on", passedOn(wire.ContentType), ""},
	{"MQTT-3.3.4-1", both, "a PUBLISH is answered as its QoS wants", answersByQoS, ""},
	{"MQTT-3.3.4-2", server, "overlapping subscriptions get the highest QoS", overlapping, ""},
	{"MQTT-3.3.4-3", server, "the subscription identifiers of overlapping subscriptions are sent", overlappingIDs, ""},
	{"MQTT-3.3.4-4", server, "one copy has all subscription identifiers", overlappingIDs, ""},
	{"MQTT-3.3.4-5", server, "of several copies each has its own subscription identifier", overlappingIDs, ""},
	{"MQTT-3.3.4-6", client, "a client's PUBLISH has no subscription identifier", publishWithSubscriptionID, ""},
	{"MQTT-3.3.4-7", client, "a client keeps to the server's receive maximum", receiveMaximumExceeded, ""},
	{"MQTT-3.3.4-8", client, "a client sends other packets at any time", nil, ofClient},
	{"MQTT-3.3.4-9", server, "a server keeps to the client's receive maximum", receiveMaximum, ""},
	{"MQTT-3.3.4-10", server, "a full window holds up nothing but PUBLISH", windowHoldsNothingElse, ""},
	{"MQTT-3.4.2-1", both, "PUBACK has a listed reason code", ackCodes, ""},
	{"MQTT-3.4.2-2", both, "no reason string that makes PUBACK too large", smallAcks(wire.PUBACK), ""},
	{"MQTT-3.4.2-3", both, "no user properties that make PUBACK too large", smallAcks(wire.PUBACK), ""},
	{"MQTT-3.5.2-1", both, "PUBREC has a listed reason code", ackCodes, ""},
	{"MQTT-3.5.2-2", both, "no reason string that makes PUBREC too large", smallAcks(wire.PUBREC), ""},
	{"MQTT-3.5.2-3", both, "no user properties that make PUBREC too large", smallAcks(wire.PUBREC), ""},
	{"MQTT-3.6.1-1", both, "PUBREL has the flags 0010", pubrelFlags, ""},
	{"MQTT-3.6.2-1", both, "PUBREL has a listed reason code", pubrelCodes, ""},
	{"MQTT-3.6.2-2", both, "no reason string that makes PUBREL too large", smallAcks(wire.PUBREL), ""},
	{"MQTT-3.6.2-3", both, "no user properties that make PUBREL too large", smallAcks(wire.PUBREL), ""},
	{"MQTT-3.7.2-1", both, "PUBCOMP has a listed reason code", pubcompCodes, ""},
	{"MQTT-3.7.2-2", both, "no reason string that makes PUBCOMP too large", smallAcks(wire.PUBCOMP), ""},
	{"MQTT-3.7.2-3", both, "no user properties that make PUBCOMP too large", smallAcks(wire.PUBCOMP), ""},
	{"MQTT-3.8.1-1", both, "SUBSCRIBE has the flags 0010", subscribeFlags, ""},
	{"MQTT-3.8.3-1", both, "topic filters are UTF-8 strings", filterString, ""},
	{"MQTT-3.8.3-2", both, "SUBSCRIBE has at least one filter", subscribeNothing, ""},
	{"MQTT-3.8.3-3", server, "no local keeps a client's own messages away", noLocal, ""},
	{"MQTT-3.8.3-4", client, "no local on a shared subscription is a protocol error", noLocalShared, ""},
	{"MQTT-3.8.3-5", server, "reserved subscription options are malformed", subscribeReserved, ""},
	{"MQTT-3.8.4-1", server, "SUBSCRIBE is answered with SUBACK", subackCodes, ""},
	{"MQTT-3.8.4-2", server, "SUBACK has the packet id of the SUBSCRIBE", sameIDs, ""},
	{"MQTT-3.8.4-3", server, "an identical filter replaces the subscription", subscribeReplaces, ""},
	{"MQTT-3.8.4-4", server, "replacing sends the retained messages again and loses nothing", replaceLosesNothing, ""},
	{"MQTT-3.8.4-5", server, "many filters in one packet are as many packets", subscribeMany, ""},
	{"MQTT-3.8.4-6", server, "SUBACK has a code for each filter", subackCodes, ""},
	{"MQTT-3.8.4-7", server, "the code is the granted QoS or a failure", subackCodes, ""},
	{"MQTT-3.8.4-8", server, "messages have the lesser of their QoS and the granted", lesserQoS, ""},
	{"MQTT-3.9.2-1", server, "no reason string that makes SUBACK too large", smallAcks(wire.SUBACK), ""},
	{"MQTT-3.9.2-2", server, "no user properties that make SUBACK too large", smallAcks(wire.SUBACK), ""},
	{"MQTT-3.9.3-1", server, "the codes are in the order of the filters", subackCodes, ""},
	{"MQTT-3.9.3-2", server, "SUBACK has listed reason codes", subackCodes, ""},
	{"MQTT-3.10.1-1", both, "UNSUBSCRIBE has the flags 0010", unsubscribeFlags, ""},
	{"MQTT-3.10.3-1", both, "topic filters are UTF-8 strings", unsubscribeString, ""},
	{"MQTT-3.10.3-2", both, "UNSUBSCRIBE has at least one filter", unsubscribeNothing, ""},
	{"MQTT-3.10.4-1", server, "filters are compared character by character and the same one is deleted", unsubscribeExactly, ""},
	{"MQTT-3.10.4-2", server, "no new messages after UNSUBSCRIBE", unsubscribeStops, ""},
	{"MQTT-3.10.4-3", server, "deliveries that have begun are completed after UNSUBSCRIBE", unsubscribeCompletes, ""},
	{"MQTT-3.10.4-4", server, "UNSUBSCRIBE is answered with UNSUBACK", unsubackCodes, ""},
	{"MQTT-3.10.4-5", server, "UNSUBACK has the packet id, and comes if nothing was deleted too", unsubackCodes, ""},
	{"MQTT-3.10.4-6", server, "many filters in one packet are as many packets", unsubackCodes, ""},
	{"MQTT-3.11.2-1", server, "no reason string that makes UNSUBACK too large", smallAcks(wire.UNSUBACK), ""},
	{"MQTT-3.11.2-2", server, "no user properties that make UNSUBACK too large", smallAcks(wire.UNSUBACK), ""},
	{"MQTT-3.11.3-1", server, "the codes are in the order of the filters", unsubackCodes, ""},
	{"MQTT-3.11.3-2", server, "UNSUBACK has listed reason codes", unsubackCodes, ""},
	{"MQTT-3.12.4-1", server, "PINGREQ is answered with PINGRESP", ping, ""},
	{"MQTT-3.14.0-1", server, "no DISCONNECT before CONNACK", noDisconnectFirst, ""},
	{"MQTT-3.14.1-1", both, "DISCONNECT with reserved flags is malformed", disconnectFlags, ""},
	{"MQTT-3.14.2-1", both, "DISCONNECT has a listed reason code", disconnectCodes, ""},
	{"MQTT-3.14.2-2", server, "a server's DISCONNECT has no session expiry", disconnectCodes, ""},
	{"MQTT-3.14.2-3", both, "no reason string that makes DISCONNECT too large", smallDisconnect, ""},
	{"MQTT-3.14.2-4", both, "no user properties that make DISCONNECT too large", smallDisconnect, ""},
	{"MQTT-3.14.4-1", both, "nothing is sent after DISCONNECT", disconnectIsLast, ""},
	{"MQTT-3.14.4-2", both, "the connection is closed after DISCONNECT", disconnectIsLast, ""},
	{"MQTT-3.14.4-3", server, "a normal DISCONNECT discards the will", willDiscarded, ""},
	{"MQTT-3.15.1-1", both, "AUTH with reserved flags is malformed", authFlags, ""},
	{"MQTT-3.15.2-1", both, "AUTH has a listed reason code", authCode, ""},
	{"MQTT-3.15.2-2", both, "no reason string that makes AUTH too large", nil, noAuth},
	{"MQTT-3.15.2-3", both, "no user properties that make AUTH too large", nil, noAuth},
	{"MQTT-4.1.0-1", both, "the session stays while the connection is open", sessionStaysWhileOpen, ""},
	{"MQTT-4.1.0-2", server, "the session ends when it has expired", sessionExpires, ""},
	{"MQTT-4.2-1", both, "there is an ordered, lossless transport", transports, ""},
	{"MQTT-4.3.1-1", both, "at QoS 0 DUP is 0", plainQoS0, ""},
	{"MQTT-4.3.2-1", both, "at QoS 1 each new message has an unused packet id", unusedIDs, ""},
	{"MQTT-4.3.2-2", both, "at QoS 1 a message is first sent without DUP", dupNotPassedOn, ""},
	{"MQTT-4.3.2-3", both, "at QoS 1 a message is unacknowledged until PUBACK", unacknowledgedQoS1, ""},
	{"MQTT-4.3.2-4", both, "at QoS 1 a message is answered with PUBACK", answersByQoS, ""},
	{"MQTT-4.3.2-5", both, "at QoS 1 the same packet id after PUBACK is a new message", idAgainQoS1, ""},
	{"MQTT-4.3.3-1", both, "at QoS 2 each new message has an unused packet id", unusedIDs, ""},
	{"MQTT-4.3.3-2", both, "at QoS 2 a message is first sent without DUP", dupNotPassedOn, ""},
	{"MQTT-4.3.3-3", both, "at QoS 2 a message is unacknowledged until PUBREC", unacknowledgedQoS2, ""},
	{"MQTT-4.3.3-4", both, "at QoS 2 PUBREC is answered with PUBREL of the same packet id", pubrelAfterPubrec, ""},
	{"MQTT-4.3.3-5", both, "at QoS 2 PUBREL is unacknowledged until PUBCOMP", pubrelAgain, ""},
	{"MQTT-4.3.3-6", both, "at QoS 2 no PUBLISH is sent again after its PUBREL", pubrelAgain, ""},
	{"MQTT-4.3.3-7", both, "at QoS 2 a message that was sent does not expire", sentDoesNotExpire, ""},
	{"MQTT-4.3.3-8", both, "at QoS 2 a message is answered with PUBREC", answersByQoS, ""},
	{"MQTT-4.3.3-9", both, "at QoS 2 the same packet id after a refusing PUBREC is a new message", refusedQoS2, ""},
	{"MQTT-4.3.3-10", both, "at QoS 2 a message sent again before PUBREL is acknowledged and not delivered again", duplicateQoS2, ""},
	{"MQTT-4.3.3-11", both, "at QoS 2 PUBREL is answered with PUBCOMP of the same packet id", sameIDs, ""},
	{"MQTT-4.3.3-12", both, "at QoS 2 the same packet id after PUBCOMP is a new message", idAgainQoS2, ""},
	{"MQTT-4.3.3-13", both, "at QoS 2 the acknowledgements go on though the message has expired", expiredGoesOn, ""},
	{"MQTT-4.4.0-1", both, "unacknowledged packets are sent again with their ids, on reconnection only", redeliverAll, ""},
	{"MQTT-4.4.0-2", both, "a message refused by PUBACK or PUBREC is not sent again", refusedIsDone, ""},
	{"MQTT-4.5.0-1", server, "a message is added to the session of each matching client", offlineMessages, ""},
	{"MQTT-4.5.0-2", client, "a client acknowledges whatever it receives", nil, ofClient},
	{"MQTT-4.6.0-1", client, "a client sends again in the order of the first time", redeliverAll, ""},
	{"MQTT-4.6.0-2", client, "PUBACK is sent in the order of the messages", ackOrder, ""},
	{"MQTT-4.6.0-3", client, "PUBREC is sent in the order of the messages", ackOrder, ""},
	{"MQTT-4.6.0-4", client, "PUBREL is sent in the order of the PUBREC packets", pubrelOrder, ""},
	{"MQTT-4.6.0-5", server, "messages of a topic and QoS are sent in the order received", order, ""},
	{"MQTT-4.6.0-6", server, "every topic is ordered", order, ""},
	{"MQTT-4.7.0-1", both, "wildcards are for filters only", topicWildcards, ""},
	{"MQTT-4.7.1-1", both, "# is a level of its own and the last", filterHash, ""},
	{"MQTT-4.7.1-2", both, "+ is a level of its own, anywhere", filterPlus, ""},
	{"MQTT-4.7.2-1", server, "a wildcard at the beginning does not match topics with $", dollarTopics, ""},
	{"MQTT-4.7.3-1", both, "topics and filters have at least one character", emptyTopics, ""},
	{"MQTT-4.7.3-2", both, "topics and filters do not contain U+0000", nullInTopics, ""},
	{"MQTT-4.7.3-3", both, "topics and filters have at most 65,535 bytes", nil, noLengths},
	{"MQTT-4.7.3-4", server, "topics are matched as they are, without any normalisation", noNormalisation, ""},
	{"MQTT-4.8.2-1", both, "a shared filter begins with $share/ and a name", sharedNames, ""},
	{"MQTT-4.8.2-2", both, "a share's name has no wildcards and a filter follows it", sharedNames, ""},
	{"MQTT-4.8.2-3", server, "a shared subscription keeps to its granted QoS", sharedQoS, ""},
	{"MQTT-4.8.2-4", server, "a QoS 2 delivery to a member is completed when it reconnects", sharedCompletes, ""},
	{"MQTT-4.8.2-5", server, "if the member's session ends first, no other gets the message", sharedSessionEnds, ""},
	{"MQTT-4.8.2-6", server, "a message that a member refuses goes to no other", sharedRefused, ""},
	{"MQTT-4.9.0-1", both, "the send quota begins above 0 and within the receive maximum", receiveMaximum, ""},
	{"MQTT-4.9.0-2", both, "without send quota no PUBLISH at QoS 1 or 2 is sent", receiveMaximum, ""},
	{"MQTT-4.9.0-3", both, "without send quota all other packets are handled", windowHoldsNothingElse, ""},
	{"MQTT-4.12.0-1", server, "an authentication method that is not supported ends the connection", authMethodRefused, ""},
	{"MQTT-4.12.0-2", server, "a server's AUTH continues the authentication", nil, noAuth},
	{"MQTT-4.12.0-3", client, "a client's AUTH continues the authentication", nil, ofClient},
	{"MQTT-4.12.0-4", server, "a rejected authentication ends the connection", authMethodRefused, ""},
	{"MQTT-4.12.0-5", both, "the authentication method stays the same", nil, noAuth},
	{"MQTT-4.12.0-6", server, "without an authentication method there is no AUTH and no method in CONNACK", noAuthMethod, ""},
	{"MQTT-4.12.0-7", client, "without an authentication method a client sends no AUTH", authWithoutMethod, ""},
	{"MQTT-4.12.1-1", client, "a client authenticates again by the same method", nil, ofClient},
	{"MQTT-4.12.1-2", both, "a failed authentication anew ends the connection", authWithoutMethod, ""},
	{"MQTT-4.13.1-1", server, "a malformed packet or protocol error ends the connection", malformedPackets, ""},
	{"MQTT-4.13.2-1", both, "a code of 0x80 or more in CONNACK or DISCONNECT ends the connection", errorsEnd, ""},
	{"MQTT-6.0.0-1", both, "WebSocket frames are binary, others end the connection", webSocketText, ""},
	{"MQTT-6.0.0-2", both, "packets and WebSocket frames need not begin together", webSocketFrames, ""},
	{"MQTT-6.0.0-3", client, "the client offers the subprotocol mqtt", webSocketSubprotocol, ""},
	{"MQTT-6.0.0-4", server, "the server selects the subprotocol mqtt", webSocketSubprotocol, ""},
}

// statements is how many the standard's appendix B has.
const statements = 251

// TestClauses checks that the table is whole: each statement once, each that binds a server with a test or a reason.
func TestClauses(t *testing.T) {
	if len(clauses) != statements {
		t.Errorf("%d statements, not %d", len(clauses), statements)
	}
	seen := map[string]bool{}
	var bind, tested int
	var without []string
	for _, c := range clauses {
		if seen[c.id] {
			t.Errorf("%s stands in the table twice", c.id)
		}
		seen[c.id] = true
		if !slices.Contains([]string{server, client, both}, c.who) || c.says == "" {
			t.Errorf("%s: who and what?", c.id)
		}
		if (c.test == nil) != (c.untested != "") {
			t.Errorf("%s has to have either a test or a reason why there is none", c.id)
		}
		if c.who != client && c.untested == ofClient {
			t.Errorf("%s binds the server", c.id)
		}
		if c.who == client {
			continue
		}
		bind++
		if c.test != nil {
			tested++
		} else {
			without = append(without, fmt.Sprintf("%s: %s (%s)", c.id, c.says, c.untested))
		}
	}
	t.Logf("%d of %d statements that bind a server are tested, %d statements in all; not tested:\n%s",
		tested, bind, len(clauses), strings.Join(without, "\n"))
}
