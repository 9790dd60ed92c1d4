"""ToDo as a plug-in of Stratagem: settings in `knobs`, behaviour in `sampler`, law cases in
`law_cases`.
"""
