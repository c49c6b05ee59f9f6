package gateway

import (
	"time"

	"airfield/internal/fault"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// EmbeddingCost is what so many tokens cost at the deployment of an embedding model that is asked first, by the price list;
// priced is false where that knows no price. A model that there is not is an error.
func (g *Gateway) EmbeddingCost(model string, tokens int64) (deployment string, cost money.Nanos, priced bool, err error) {
	m, err := g.table.Load().find(llm.Embeddings, model)
	if err != nil {
		return "", 0, false, err
	}
	if len(m.deployments) == 0 {
		return "", 0, false, fault.New(fault.Invalid, "model_empty", "the model %s has no deployment", model).At("model")
	}
	d := m.deployments[0]
	price, priced := d.priceAt(g.prices, time.Now())
	return d.name, price.Cost(llm.Usage{Input: tokens}), priced, nil
}
