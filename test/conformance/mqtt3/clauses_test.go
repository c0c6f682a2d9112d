package mqtt3

import (
	"fmt"
	"testing"
)

// A party is who has to keep a statement.
type party byte

// The parties.
const (
	server3 party = 1 << iota
	client3
	both = server3 | client3
)

// A clause is a normative statement of MQTT 3.1.1, as its appendix B numbers them. Those that bind a server have a test, or a
// reason why none is possible from the wire.
type clause struct {
	section string
	number  int
	who     party
	says    string
	test    func(e *env)
	reason  string
}

// name is the statement's number. The appendix writes [MQTT-3.1.2.7] and [MQTT-3-8.3-4] where 3.1.2-7 and 3.8.3-4 are meant.
func (c *clause) name() string { return fmt.Sprintf("MQTT-%s-%d", c.section, c.number) }

// statements is how many normative statements each section has.
var statements = map[string]int{
	"1.5.3": 3,
	"2.2.2": 2, "2.3.1": 7,
	"3.1.0": 2, "3.1.2": 24, "3.1.3": 11, "3.1.4": 5,
	"3.2.0": 1, "3.2.2": 6,
	"3.3.1": 12, "3.3.2": 3, "3.3.4": 1, "3.3.5": 2,
	"3.6.1": 1,
	"3.8.1": 1, "3.8.3": 4, "3.8.4": 6, "3.9.3": 2,
	"3.10.1": 1, "3.10.3": 2, "3.10.4": 6,
	"3.12.4": 1, "3.14.1": 1, "3.14.4": 3,
	"4.1.0": 2, "4.3.1": 1, "4.3.2": 2, "4.3.3": 2, "4.4.0": 1, "4.5.0": 2, "4.6.0": 6,
	"4.7.1": 3, "4.7.2": 1, "4.7.3": 4, "4.8.0": 2,
	"6.0.0": 4,
	"7.0.0": 2, "7.1.1": 1, "7.1.2": 1,
}

// clauses are all of them.
var clauses = []clause{
	{"1.5.3", 1, both, "ill-formed UTF-8 and surrogates end the connection", utf8IllFormed, ""},
	{"1.5.3", 2, both, "so does U+0000 in a string", utf8Null, ""},
	{"1.5.3", 3, both, "U+FEFF stays where it is", utf8ByteOrderMark, ""},

	{"2.2.2", 1, both, "reserved flags have the values of the table", flagsSent, ""},
	{"2.2.2", 2, both, "other flags end the connection", flagsReceived, ""},
	{"2.3.1", 1, both, "packet ids are not 0", idZero, ""},
	{"2.3.1", 2, client3, "a new packet gets an id that is not in use", nil, ""},
	{"2.3.1", 3, client3, "a packet sent again keeps its id", nil, ""},
	{"2.3.1", 4, server3, "both hold for what a server publishes", idsOfServer, ""},
	{"2.3.1", 5, both, "at QoS 0 there is no packet id", idAbsent, ""},
	{"2.3.1", 6, both, "acknowledgements bear the id of the PUBLISH", idOfAcks, ""},
	{"2.3.1", 7, both, "SUBACK and UNSUBACK bear the id of the request", idOfSuback, ""},

	{"3.1.0", 1, both, "CONNECT comes first", connectFirst, ""},
	{"3.1.0", 2, server3, "and only once", connectTwice, ""},
	{"3.1.2", 1, server3, "another protocol name is not served as MQTT 3.1.1", protocolName, ""},
	{"3.1.2", 2, server3, "an unknown level gets 0x01 and is disconnected", protocolLevel, ""},
	{"3.1.2", 3, server3, "the reserved connect flag is 0", connectReserved, ""},
	{"3.1.2", 4, both, "Clean Session 0 goes on with the session, or begins one that lasts", sessionResumed, ""},
	{"3.1.2", 5, server3, "QoS 1 and 2 are kept for an absent session", sessionOffline, ""},
	{"3.1.2", 6, both, "Clean Session 1 forgets the old session and leaves none", sessionClean, ""},
	{"3.1.2", 7, server3, "retained messages outlive sessions", retainedOutlivesSession, ""},
	{"3.1.2", 8, server3, "a will is published when the connection ends without DISCONNECT", willTriggers, ""},
	{"3.1.2", 9, both, "a will flag comes with topic and message; QoS and retain hold", willFields, ""},
	{"3.1.2", 10, server3, "a will is gone once published or after DISCONNECT", willOnce, ""},
	{"3.1.2", 11, both, "no will flag: no will QoS, retain, topic or message", willAbsentFields, ""},
	{"3.1.2", 12, server3, "no will flag: no will is published", willAbsent, ""},
	{"3.1.2", 13, both, "no will flag: will QoS is 0", willAbsentQoS, ""},
	{"3.1.2", 14, both, "a will's QoS is 0, 1 or 2", willQoS, ""},
	{"3.1.2", 15, both, "no will flag: will retain is 0", willAbsentRetain, ""},
	{"3.1.2", 16, server3, "will retain 0: the will is not retained", willNotRetained, ""},
	{"3.1.2", 17, server3, "will retain 1: the will is retained", willRetained, ""},
	{"3.1.2", 18, both, "user flag 0: no user name", userAbsent, ""},
	{"3.1.2", 19, both, "user flag 1: a user name", userPresent, ""},
	{"3.1.2", 20, both, "password flag 0: no password", passwordAbsent, ""},
	{"3.1.2", 21, both, "password flag 1: a password", passwordPresent, ""},
	{"3.1.2", 22, both, "no password without a user name", passwordAlone, ""},
	{"3.1.2", 23, client3, "a client sends something within each keep-alive", nil, ""},
	{"3.1.2", 24, server3, "silence of one and a half keep-alives ends the connection", keepAlive, ""},
	{"3.1.3", 1, both, "client id, will, user, password: in this order", connectOrder, ""},
	{"3.1.3", 2, both, "the client id identifies the session", clientIDIdentifies, ""},
	{"3.1.3", 3, both, "a client id is present and first", clientIDPresent, ""},
	{"3.1.3", 4, both, "it is UTF-8", clientIDUTF8, ""},
	{"3.1.3", 5, server3, "1 to 23 letters and digits are accepted", clientIDAccepted, ""},
	{"3.1.3", 6, server3, "an empty one, if accepted, is replaced by a unique one", clientIDEmpty, ""},
	{"3.1.3", 7, client3, "an empty one goes with Clean Session 1", nil, ""},
	{"3.1.3", 8, server3, "an empty one with Clean Session 0 gets 0x02", clientIDEmptyResume, ""},
	{"3.1.3", 9, server3, "a rejected one gets 0x02 and is disconnected", clientIDRejected, ""},
	{"3.1.3", 10, both, "a will topic is UTF-8", willTopicUTF8, ""},
	{"3.1.3", 11, both, "a user name is UTF-8", userUTF8, ""},
	{"3.1.4", 1, server3, "a malformed CONNECT gets no CONNACK", connectMalformed, ""},
	{"3.1.4", 2, server3, "a client id that is connected is taken over", takeover, ""},
	{"3.1.4", 3, server3, "Clean Session is dealt with", cleanSessionSequence, ""},
	{"3.1.4", 4, server3, "a good CONNECT gets return code 0", connackBytes, ""},
	{"3.1.4", 5, server3, "nothing behind a rejected CONNECT is looked at", rejectedThenData, ""},

	{"3.2.0", 1, server3, "CONNACK is the first packet of a server", connackFirst, ""},
	{"3.2.2", 1, server3, "Clean Session 1: Session Present 0", presentClean, ""},
	{"3.2.2", 2, server3, "Clean Session 0 and a session: Session Present 1", presentStored, ""},
	{"3.2.2", 3, server3, "Clean Session 0 and no session: Session Present 0", presentNone, ""},
	{"3.2.2", 4, server3, "with an error: Session Present 0", presentRefused, ""},
	{"3.2.2", 5, server3, "an error ends the connection", refusedCloses, ""},
	{"3.2.2", 6, server3, "where no code fits, the connection ends without CONNACK", noCodeFits, ""},

	{"3.3.1", 1, both, "what is sent again has DUP 1", dupOnRedelivery, ""},
	{"3.3.1", 2, both, "at QoS 0 DUP is 0", dupAtQoS0, ""},
	{"3.3.1", 3, server3, "DUP is not handed on", dupNotPropagated, ""},
	{"3.3.1", 4, both, "QoS 3 ends the connection", qos3, ""},
	{"3.3.1", 5, both, "RETAIN 1 keeps the message and its QoS", retainStores, ""},
	{"3.3.1", 6, server3, "a new subscription gets the last of each topic", retainLast, ""},
	{"3.3.1", 7, server3, "a retained QoS 0 message discards the one before", retainQoS0, ""},
	{"3.3.1", 8, server3, "a new subscription gets it with RETAIN 1", retainFlagNew, ""},
	{"3.3.1", 9, server3, "an established one gets it with RETAIN 0", retainFlagEstablished, ""},
	{"3.3.1", 10, server3, "zero bytes are delivered, and remove what was retained", retainZeroBytes, ""},
	{"3.3.1", 11, server3, "zero bytes are not retained", retainZeroBytesNotStored, ""},
	{"3.3.1", 12, server3, "RETAIN 0 neither stores nor removes", retainZero, ""},
	{"3.3.2", 1, both, "a topic is first in a PUBLISH, and UTF-8", topicFirst, ""},
	{"3.3.2", 2, both, "and without wildcards", topicWildcards, ""},
	{"3.3.2", 3, server3, "what is delivered matches the filter", topicMatches, ""},
	{"3.3.4", 1, both, "the answer is that of the QoS", publishAnswer, ""},
	{"3.3.5", 1, server3, "overlapping subscriptions: the highest QoS", overlapping, ""},
	{"3.3.5", 2, server3, "a forbidden PUBLISH is acknowledged or ends the connection", publishForbidden, ""},

	{"3.6.1", 1, both, "PUBREL has the flags 0010", pubrelFlags, ""},

	{"3.8.1", 1, both, "SUBSCRIBE has the flags 0010", subscribeFlags, ""},
	{"3.8.3", 1, both, "filters are UTF-8", filterUTF8, ""},
	{"3.8.3", 2, server3, "wildcards are supported, or rejected", filterWildcards, ""},
	{"3.8.3", 3, both, "there is at least one filter", subscribeEmpty, ""},
	{"3.8.3", 4, server3, "reserved bits and QoS 3 end the connection", subscribeReserved, ""},
	{"3.8.4", 1, server3, "SUBSCRIBE gets SUBACK", subscribeAnswered, ""},
	{"3.8.4", 2, server3, "with its packet id", subscribeID, ""},
	{"3.8.4", 3, server3, "the same filter again replaces; retained ones come again", subscribeAgain, ""},
	{"3.8.4", 4, server3, "many filters are many subscriptions and one SUBACK", subscribeMany, ""},
	{"3.8.4", 5, server3, "a code for each filter", subscribeCodes, ""},
	{"3.8.4", 6, server3, "QoS is the lower of published and granted", subscribeQoS, ""},
	{"3.9.3", 1, server3, "codes stand in the order of filters", subackOrder, ""},
	{"3.9.3", 2, server3, "codes are 0, 1, 2 and 0x80", subackCodes, ""},

	{"3.10.1", 1, both, "UNSUBSCRIBE has the flags 0010", unsubscribeFlags, ""},
	{"3.10.3", 1, both, "filters are UTF-8, one behind the other", unsubscribeUTF8, ""},
	{"3.10.3", 2, both, "there is at least one filter", unsubscribeEmpty, ""},
	{"3.10.4", 1, server3, "filters are compared character by character", unsubscribeCompares, ""},
	{"3.10.4", 2, server3, "no new messages are delivered", unsubscribeStops, ""},
	{"3.10.4", 3, server3, "deliveries that have begun are completed", unsubscribeCompletes, ""},
	{"3.10.4", 4, server3, "UNSUBSCRIBE gets UNSUBACK with its packet id", unsubscribeAnswered, ""},
	{"3.10.4", 5, server3, "even where there is no such subscription", unsubscribeUnknown, ""},
	{"3.10.4", 6, server3, "many filters get one UNSUBACK", unsubscribeMany, ""},

	{"3.12.4", 1, server3, "PINGREQ gets PINGRESP", ping, ""},
	{"3.14.1", 1, server3, "DISCONNECT's reserved bits are 0", disconnectReserved, ""},
	{"3.14.4", 1, client3, "a client closes the connection after DISCONNECT", nil, ""},
	{"3.14.4", 2, client3, "and sends nothing more", nil, ""},
	{"3.14.4", 3, server3, "DISCONNECT discards the will", willDiscarded, ""},

	{"4.1.0", 1, both, "state is kept as long as the session", sessionState, ""},
	{"4.1.0", 2, both, "a session lasts as long as its connection", sessionWhileConnected, ""},
	{"4.3.1", 1, both, "QoS 0 is sent with QoS 0 and DUP 0", senderQoS0, ""},
	{"4.3.2", 1, both, "QoS 1 as sender", senderQoS1, ""},
	{"4.3.2", 2, both, "QoS 1 as receiver", receiverQoS1, ""},
	{"4.3.3", 1, both, "QoS 2 as sender", senderQoS2, ""},
	{"4.3.3", 2, both, "QoS 2 as receiver", receiverQoS2, ""},
	{"4.4.0", 1, both, "PUBLISH and PUBREL are sent again with their ids", redelivery, ""},
	{"4.5.0", 1, server3, "a message belongs to all matching sessions", allMatchingSessions, ""},
	{"4.5.0", 2, client3, "a client acknowledges what it receives", nil, ""},
	{"4.6.0", 1, both, "what is sent again keeps its order", orderRedelivery, ""},
	{"4.6.0", 2, both, "PUBACK in the order of PUBLISH", orderPuback, ""},
	{"4.6.0", 3, both, "PUBREC in the order of PUBLISH", orderPubrec, ""},
	{"4.6.0", 4, both, "PUBREL in the order of PUBREC", orderPubrel, ""},
	{"4.6.0", 5, server3, "topics are ordered", orderTopic, ""},
	{"4.6.0", 6, server3, "messages of a client, topic and QoS are delivered in order", orderPublish, ""},
	{"4.7.1", 1, both, "wildcards are for filters only", wildcardsInFilters, ""},
	{"4.7.1", 2, both, "# is a whole level, and the last", multiLevel, ""},
	{"4.7.1", 3, both, "+ is a whole level", singleLevel, ""},
	{"4.7.2", 1, server3, "a leading wildcard does not match a leading $", dollarTopics, ""},
	{"4.7.3", 1, both, "topics and filters are not empty", topicEmpty, ""},
	{"4.7.3", 2, both, "and hold no U+0000", topicNull, ""},
	{"4.7.3", 3, both, "and are at most 65,535 bytes long", topicLong, ""},
	{"4.7.3", 4, server3, "and are not normalized", topicVerbatim, ""},
	{"4.8.0", 1, both, "violations of the protocol end the connection", violations, ""},
	{
		"4.8.0", 2, both, "transient errors end the connection", nil,
		"no byte sequence makes a server that is well fail for a moment",
	},

	{"6.0.0", 1, both, "WebSocket frames are binary", websocketBinary, ""},
	{"6.0.0", 2, both, "packets and frames are not aligned", websocketAlignment, ""},
	{"6.0.0", 3, client3, "a client offers the subprotocol mqtt", nil, ""},
	{"6.0.0", 4, server3, "a server chooses the subprotocol mqtt", websocketSubprotocol, ""},

	{
		"7.0.0", 1, server3, "a server that connects to others is also a client", nil,
		"the hub connects to no other server",
	},
	{
		"7.0.0", 2, both, "no extensions are required", nil,
		"all tests of this package use none: each of them shows it",
	},
	{"7.1.1", 1, server3, "an ordered, lossless stream of bytes is a transport", byteStream, ""},
	{"7.1.2", 1, client3, "for clients as well", nil, ""},
}

// TestClauses checks that the table is whole: every statement once, and each that binds a server with a test or a reason.
func TestClauses(t *testing.T) {
	seen := map[string]bool{}
	var servers, tested int
	for _, c := range clauses {
		switch {
		case seen[c.name()]:
			t.Errorf("%s stands there twice", c.name())
		case c.number < 1 || c.number > statements[c.section]:
			t.Errorf("%s does not exist", c.name())
		case c.says == "":
			t.Errorf("%s says nothing", c.name())
		case c.who&server3 == 0:
			if c.test != nil || c.reason != "" {
				t.Errorf("%s does not bind servers", c.name())
			}
		case (c.test == nil) == (c.reason == ""):
			t.Errorf("%s has no test and no reason for that, or both", c.name())
		}
		seen[c.name()] = true
		if c.who&server3 != 0 {
			servers++
			if c.test != nil {
				tested++
			}
		}
	}
	for section, n := range statements {
		for i := range n {
			if name := fmt.Sprintf("MQTT-%s-%d", section, i+1); !seen[name] {
				t.Errorf("%s is missing", name)
			}
		}
	}
	t.Logf("MQTT 3.1.1: %d normative statements, %d bind a server, %d of these are tested, %d cannot be from the wire",
		len(clauses), servers, tested, servers-tested)
}

// TestConformance tests each statement that binds a server.
func TestConformance(t *testing.T) {
	t.Parallel()
	e := newEnv(t, serve(t))
	for _, c := range clauses {
		if c.test != nil {
			e.run(c.name(), c.test)
		}
	}
}
