package app

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"

	"pulso/access"
	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/wire"
	"pulso/contract"
	"pulso/contract/api"
)

// contractsFile is the file of contracts in the data folder.
const contractsFile = "contracts.json"

// ContractsFile is the file of a data folder that holds the contracts; empty where nothing is kept.
func ContractsFile(data string) string {
	if data == InMemory {
		return ""
	}
	return filepath.Join(data, contractsFile)
}

// An ingester takes messages for the log.
type ingester interface {
	Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error
}

// admitted is the bridge for those who publish in another way than by the broker: contracts judge what they publish, too.
type admitted struct {
	ingester

	contracts *contract.Book
	canRefuse bool
}

func (h *Hub) admitted(canRefuse bool) admitted {
	return admitted{ingester: h.bridge, contracts: h.contracts, canRefuse: canRefuse}
}

// Ingest hands a message on, unless it is refused: its error is then a [*wire.Error].
func (a admitted) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	if err := a.contracts.Admit(&m, a.canRefuse); err != nil {
		if refused := (*contract.RefusedError)(nil); errors.As(err, &refused) {
			return wire.Errorf(wire.CodeContract, "%s", refused.Error())
		}
		return err
	}
	return a.ingester.Ingest(ctx, m, done)
}

// newPromises makes what tells of contracts.
func (h *Hub) newPromises() *api.Handler {
	return api.New(api.Config{
		Book: h.contracts, Log: h.log, Version: h.version, Address: h.deviceAddr(), Metrics: h.registry,
		FindTopics: func(filter string, scope event.Scope, limit int) ([]string, bool) {
			return h.topics.Topics([]string{filter}, nil, scope, limit)
		},
		Topics: func(scope event.Scope, limit int) []api.Topic {
			page, _ := h.topics.List("", "", scope, limit)
			seen := make([]api.Topic, len(page))
			for i := range page {
				t := &page[i]
				seen[i] = api.Topic{Name: t.Name, First: t.First, Last: t.Last, Messages: t.Events, Rate: t.Rate}
			}
			return seen
		},
		MayChange: func(r *http.Request) bool {
			grant, ok := gateway.PersonOf(r.Context()).(*access.Grant)
			return ok && grant.MayEverywhere(access.Administer)
		},
	})
}
