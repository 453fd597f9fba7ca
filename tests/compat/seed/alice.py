# Alice's machine
import mlflow
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.datasets import make_classification
# Assume MLFLOW_TRACKING_URI is set to "http://your-mlflow-server:5000"
# Create dummy data
X, y = make_classification(n_samples=1000, n_features=20, random_state=42)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=42)
# Start a run
with mlflow.start_run(run_name="Alice's Initial Run"):
    # Log parameters
    params = {"solver": "liblinear", "C": 0.1, "random_state": 42}
    mlflow.log_params(params)
    # Train a model
    model = LogisticRegression(**params)
    model.fit(X_train, y_train)
    # Evaluate
    accuracy = model.score(X_test, y_test)
    mlflow.log_metric("accuracy", accuracy)
    # Log the model
    mlflow.sklearn.log_model(model, "model")
    print(f"Alice's run logged. Accuracy: {accuracy:.4f}")
