"""Which phase is it, and is it unsure because phases overlap or because nothing was measured there?"""

import torch

from surrogates.classifier import PBNNClassifier

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
cold = 0.3 * torch.rand(30, 1, generator=generator, dtype=torch.float64)  # nothing between 0.3 and 0.6
hot = 0.6 + 0.4 * torch.rand(50, 1, generator=generator, dtype=torch.float64)
X = torch.cat([cold, hot])
overlap = (X[:, 0] > 0.8) & (torch.rand(80, generator=generator) < 0.5)  # two phases, by chance
labels = (X[:, 0] > 0.45).long() + overlap.long()

model = PBNNClassifier(
    X,
    labels,
    classes=["disordered", "lamellar", "hexagonal"],
    seed=1,
    network={"hidden": [16, 8]},
    inference={"kind": "svi", "steps": 300},
)
for name, place in {"measured": 0.1, "between": 0.45, "overlap": 0.9}.items():
    point = torch.tensor([[place]], dtype=torch.float64)
    probability = model.predict_proba(point)[0]
    likely = model.class_names[int(probability.argmax())]
    whole, ignorance = model.entropy(point).item(), model.mutual_information(point).item()
    print(f"{name}: {likely} {probability.max():.2f}, entropy {whole:.2f}, of it ignorance {ignorance:.2f}")
