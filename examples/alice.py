"""Alice trains a first churn model. The same script as with MLflow, with Runstone's client."""

from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import runstone

# Create dummy data
X, y = make_classification(n_samples=1000, n_features=20, random_state=42)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)

runstone.set_experiment("Churn Prediction")

# Start a run
with runstone.start_run(run_name="Alice's Initial Run"):
    # Log parameters
    params = {"solver": "liblinear", "C": 0.1, "random_state": 42}
    runstone.log_params(params)

    # Train a model
    model = LogisticRegression(**params)
    model.fit(X_train, y_train)

    # Evaluate
    accuracy = model.score(X_test, y_test)
    runstone.log_metric("accuracy", accuracy)

    # Log the model
    runstone.log_model(model, "model")

    print(f"Alice's run logged. Accuracy: {accuracy:.4f}")
