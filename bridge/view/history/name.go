package history

import rules "pulso/bridge/view/series"

// The names of the labels.
const (
	labelDevice = rules.LabelDevice
	labelField  = rules.LabelField
	labelKind   = rules.LabelKind
	labelTopic  = rules.LabelTopic
	labelUnit   = rules.LabelUnit
)

// maxAhead is how far in milliseconds a sample may be moved on.
const maxAhead = rules.MaxAhead
