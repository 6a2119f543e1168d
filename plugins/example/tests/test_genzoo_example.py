"""What every genzoo model keeps, checked for each model of this plugin. Add your own tests beside it."""

from zoo.testing import conformance

test_conformance = conformance("genzoo-example")
